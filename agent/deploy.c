/*
 * deploy: one version onto one target, proven by a handshake.
 *
 * fetch, stage, journal, switch, test, reload, prove, report, clear.  A crash
 * before the journal leaves nothing but a staged directory; after it, the
 * next start goes on at the configuration test.  A failure swaps back and
 * reloads, but never to an expired pair.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "agent/deploy_int.h"
#include "agent/keystore.h"
#include "common/base/fault.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "common/pki/cert/cert.h"
#include "common/pki/key/key.h"

#define PROGRAM_MS 30000
#define BUSY_RETRY_MS 100
#define PROOFS 2
#define PROOF_PAUSE_MS 150
#define PROVE_RETRY_MIN_MS 50
#define PROVE_RETRY_MAX_MS 2000
#define RELOADS_MAX 3
#define RELOAD_RETRY_MS 500

static op_step deploy_claim_dir;
static op_step deploy_fetch;
static op_step deploy_fetched;
static op_step deploy_test;
static op_step deploy_reload;
static op_step deploy_prove;
static op_step deploy_proved;
static op_step deploy_tested;
static op_step deploy_reloaded;
static op_step deploy_swapped_back;

/* What the server, or the journal of a cut-off install, says is to be done. */
static rc
read_item(struct op *op, struct work *w, struct deploy *d, const char **out_why)
{
	struct arena *a = op_arena(op);
	const struct cJSON *item, *config;
	rc ret;

	if (w->is_resumed)
		return install_journal_read(w->agent, a, w->target, &d->j);
	ret = json_parse(a, w->item_json, strlen(w->item_json), &item, out_why);
	if (ret != RC_OK)
		return ret;
	config = json_get(item, "target_config");
	d->j.job = w->job;
	d->j.certificate = w->certificate;
	d->j.target = w->target;
	d->j.type = w->type;
	d->j.common_name = "";
	d->j.version = "";
	IGNORE_RESULT(json_str(item, "common_name", 253, &d->j.common_name));
	IGNORE_RESULT(json_str(item, "version_id", 128, &d->j.version));
	d->j.config = config ? json_text(a, config) : "{}";
	return RC_OK;
}

static rc
make_plan(struct op *op, struct deploy *d, const char **out_why)
{
	const struct target_kind *kind = target_find(d->j.type);
	struct arena *a = op_arena(op);
	const struct cJSON *config;
	rc ret;

	if (!kind) {
		*out_why = op_printf(op,
		    "this agent cannot deploy to targets "
		    "of type %s",
		    d->j.type);
		return RC_INVALID;
	}
	ret = json_parse(a, d->j.config, strlen(d->j.config), &config, out_why);
	if (ret == RC_OK)
		ret = kind->plan(a, config, &d->plan, out_why);
	if (ret == RC_OK)
		ret = allow_plan(a, &agent_of(op)->allow, kind, &d->plan,
		    out_why);
	if (ret == RC_OK)
		ret = install_paths_of(a, d->plan.cert_path, d->plan.key_path,
		    d->plan.chain_path, &d->paths, out_why);
	if (ret != RC_OK)
		return ret;
	d->paths.cert_mode = d->plan.cert_mode;
	d->paths.key_mode = d->plan.key_mode;
	return RC_OK;
}

enum op_next
deploy_start(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	struct work *w = agent_arg(op);
	const char *why = "the install journal is not readable";
	rc ret;

	d->seen = "";
	d->prove_wait_ms = PROVE_RETRY_MIN_MS;
	ret = read_item(op, w, d, &why);
	if (ret != RC_OK && w->is_resumed) {
		log_error("JOURNAL-BAD",
		    "target %s: %s; removed, the server "
		    "will give the job again",
		    w->target, why);
		install_journal_clear(w->agent, w->target);
		return op_done(op);
	}
	if (ret == RC_OK)
		ret = make_plan(op, d, &why);
	if (ret != RC_OK)
		return deploy_failed(op, why);
	return op_goto(op, deploy_claim_dir);
}

static enum op_next
deploy_claim_dir(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	struct work *w = agent_arg(op);

	if (w->agent->is_stopping || w->agent->is_retired)
		return op_done(op);
	if (!work_claim_dir(w, d->paths.dir)) {
		op_extend(op, DEPLOY_STEP_LIMIT_MS);
		return op_sleep(op, BUSY_RETRY_MS, deploy_claim_dir);
	}
	if (w->is_resumed) {
		log_info("INSTALL-RESUMED", "job %s version %s target %s",
		    w->job, d->j.version, w->target);
		return op_goto(op, deploy_test);
	}
	return op_goto(op, deploy_fetch);
}

static enum op_next
deploy_fetch(struct op *op)
{
	struct work *w = agent_arg(op);

	return call_api(op, "GET",
	    op_printf(op, "/api/v1/agents/%s/certificates/%s?job=%s",
		w->agent->id, w->certificate, w->job),
	    NULL, DEPLOY_CALL_MS, deploy_fetched);
}

/* The chain belongs to our key and is what the job pins. */
static rc
check_pair(struct op *op, struct deploy *d, const char *pem,
    const struct secret *key_pem, const char **out_why)
{
	struct cert_info info;
	EVP_PKEY *key;
	X509 *x;
	rc ret;

	*out_why = "the server's certificate is not readable";
	ret = cert_from_pem(pem, strlen(pem), &x);
	if (ret != RC_OK)
		return ret;
	ret = cert_read(op_arena(op), x, &info);
	if (ret == RC_OK)
		ret = key_from_pem(secret_bytes(key_pem), secret_len(key_pem),
		    &key);
	if (ret != RC_OK) {
		X509_free(x);
		return ret;
	}
	ret = cert_match_key(x, key);
	EVP_PKEY_free(key);
	X509_free(x);
	*out_why = "the certificate is not for the key this agent holds";
	d->j.fingerprint = arena_strdup(op_arena(op), info.fingerprint_sha256);
	return ret;
}

/* What to go back to when the new version does not serve. */
static rc
find_previous(struct op *op, struct work *w, struct deploy *d,
    const char *target, const char **out_why)
{
	struct arena *a = op_arena(op);
	struct install_journal old;
	rc ret;

	ret = install_current(a, &d->paths, &d->j.previous);
	if (ret != RC_OK) {
		*out_why = op_printf(op, "cannot read %s/current: %s",
		    d->paths.dir, strerror(errno));
		return ret;
	}
	if (strcmp(d->j.previous, target) != 0)
		return RC_OK;
	/* Switched before.  An install that ran out of time still has its
	 * journal; without one there is nothing to go back to. */
	if (install_journal_read(w->agent, a, w->target, &old) == RC_OK &&
	    strcmp(old.version, d->j.version) == 0)
		d->j.previous = old.previous;
	else
		d->j.previous = "";
	return RC_OK;
}

static rc
stage_and_switch(struct op *op, struct work *w, struct deploy *d,
    const char *pem, const struct secret *key_pem, const char **out_why)
{
	struct arena *a = op_arena(op);
	const char *target = arena_printf(a, "v/%s", d->j.version);
	rc ret;

	ret = keystore_hold(w->agent, d->j.version, d->paths.dir);
	if (ret != RC_OK) {
		*out_why =
		    op_printf(op, "cannot note where the key is used: %s",
			ret == RC_IO ? strerror(errno) : rc_name(ret));
		return ret;
	}
	ret = install_stage(a, &d->paths, d->j.version, pem, key_pem, out_why);
	if (ret == RC_OK)
		ret = install_adopt(a, &d->paths, out_why);
	fault_point("agent.install.staged");
	if (ret == RC_OK)
		ret = find_previous(op, w, d, target, out_why);
	if (ret != RC_OK)
		return ret;
	ret = install_journal_write(w->agent, &d->j);
	if (ret != RC_OK) {
		*out_why = op_printf(op, "cannot write the install journal: %s",
		    ret == RC_IO ? strerror(errno) : rc_name(ret));
		return ret;
	}
	fault_point("agent.install.journalled");
	ret = install_switch(a, &d->paths, target, out_why);
	fault_point("agent.install.switched");
	return ret;
}

static enum op_next
deploy_fetched(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	const struct call_reply *reply = call_reply(op);
	struct work *w = agent_arg(op);
	const char *pem = NULL, *version = NULL, *why = "";
	struct secret *key_pem;
	rc ret;

	if (w->agent->is_retired || w->agent->is_stopping)
		return op_done(op);
	if (call_is_in_doubt(reply))
		return deploy_again(op, deploy_fetch);
	d->delay_ms = 0;
	if (reply->status != 200 || !reply->json ||
	    json_str(reply->json, "certificate_pem", 262144, &pem) != RC_OK)
		return deploy_failed(op,
		    reply->error ? reply->error
				 : "the server's answer holds no certificate");
	if (json_str(reply->json, "version_id", 128, &version) == RC_OK)
		d->j.version = version;
	ret = keystore_pem_of_version(w->agent, d->j.version, &key_pem);
	if (ret != RC_OK)
		return deploy_failed(op, op_printf(op,
					     "this agent holds no "
					     "private key for version %s",
					     d->j.version));
	ret = check_pair(op, d, pem, key_pem, &why);
	if (ret == RC_OK)
		ret = stage_and_switch(op, w, d, pem, key_pem, &why);
	secret_free(key_pem);
	if (ret != RC_OK)
		return deploy_failed(op, why);
	return op_goto(op, deploy_test);
}

static enum op_next
deploy_test(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	const char *target = op_printf(op, "v/%s", d->j.version);
	const char *why = "cannot read what is current";
	rc ret;

	op_extend(op, DEPLOY_STEP_LIMIT_MS);
	/* A resumed install may have died before or in its switch. */
	ret = install_switch(op_arena(op), &d->paths, target, &why);
	if (ret != RC_OK)
		return deploy_failed(op, why);
	if (!d->plan.test_argv[0])
		return op_goto(op, deploy_reload);
	return call_program(op, d->plan.test_argv, PROGRAM_MS, deploy_tested);
}

/* NULL when the program ended with 0, else what to say. */
static const char *
program_failure(struct op *op, const char *what, const char *const *argv)
{
	const struct call_output *o = call_output(op);

	if (o->code == RC_OK && o->exit_status == 0)
		return NULL;
	if (o->code == RC_TIMEOUT)
		return op_printf(op, "%s (%s) did not end within %d s", what,
		    argv[0], PROGRAM_MS / 1000);
	if (o->code != RC_OK)
		return op_printf(op, "%s: %s", what, o->text);
	return op_printf(op, "%s (%s) ended with status %d: %s", what, argv[0],
	    o->exit_status, o->text);
}

static enum op_next
deploy_swap_back(struct op *op, const char *why)
{
	struct deploy *d = op_state(op, sizeof(*d));
	const char *how = "";

	d->failure = why;
	if (!install_is_usable(op_arena(op), &d->paths, d->j.previous)) {
		d->failure = op_printf(op,
		    "%s; the pair before it is missing "
		    "or expired, so the new one stays",
		    why);
		return deploy_failed(op, d->failure);
	}
	if (install_switch(op_arena(op), &d->paths, d->j.previous, &how) !=
	    RC_OK) {
		d->failure =
		    op_printf(op, "%s; and swapping back failed: %s", why, how);
		return deploy_failed(op, d->failure);
	}
	if (!d->plan.reload_argv[0])
		return op_goto(op, deploy_swapped_back);
	return call_program(op, d->plan.reload_argv, PROGRAM_MS,
	    deploy_swapped_back);
}

static enum op_next
deploy_tested(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	const char *why =
	    program_failure(op, "the configuration test", d->plan.test_argv);

	fault_point("agent.install.tested");
	if (why)
		return deploy_swap_back(op, why);
	return op_goto(op, deploy_reload);
}

static enum op_next
deploy_reload(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));

	if (!d->plan.reload_argv[0])
		return op_goto(op, deploy_prove);
	return call_program(op, d->plan.reload_argv, PROGRAM_MS,
	    deploy_reloaded);
}

static enum op_next
deploy_reloaded(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	const char *why =
	    program_failure(op, "the reload", d->plan.reload_argv);

	fault_point("agent.install.reloaded");
	/* A server that is just starting again has no process to tell. */
	if (why && ++d->reloads < RELOADS_MAX)
		return op_sleep(op, RELOAD_RETRY_MS, deploy_reload);
	if (why)
		return deploy_swap_back(op, why);
	return op_goto(op, deploy_prove);
}

/* What to ask the server for; NULL: nothing in particular. */
static const char *
server_name(struct op *op, const struct deploy *d)
{
	const char *name =
	    d->plan.server_name ? d->plan.server_name : d->j.common_name;
	unsigned char address[16];

	/* A wildcard is no host name, and an address is never asked for. */
	if (strncmp(name, "*.", 2) == 0)
		return op_printf(op, "www%s", name + 1);
	if (name[0] == '\0' || inet_pton(AF_INET, name, address) == 1 ||
	    inet_pton(AF_INET6, name, address) == 1)
		return NULL;
	return name;
}

static enum op_next
deploy_prove(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	struct work *w = agent_arg(op);

	if (!d->plan.host)
		return op_goto(op, deploy_report);
	if (w->agent->is_retired || w->agent->is_stopping)
		return op_done(op); /* the journal stays open */
	op_extend(op, DEPLOY_STEP_LIMIT_MS);
	d->probes++;
	return call_handshake(op, d->plan.host, d->plan.port,
	    server_name(op, d), cfg_int(w->agent->cfg, "verify_timeout"),
	    deploy_proved);
}

/* A reloading server answers with the old pair for a moment, and then for a
 * tenth of a second with either (nginx lets both generations of its workers
 * listen): it is proven by two handshakes with that time between them. */
static enum op_next
deploy_proved(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	const struct call_probe *p = call_probe(op);
	struct work *w = agent_arg(op);

	if (p->code == RC_OK)
		d->seen = arena_strdup(op_arena(op), p->fingerprint);
	if (p->code == RC_OK && strcmp(d->seen, d->j.fingerprint) == 0) {
		if (++d->proofs < PROOFS)
			return op_sleep(op, PROOF_PAUSE_MS, deploy_prove);
		fault_point("agent.install.proved");
		d->delay_ms = 0;
		return op_goto(op, deploy_verify);
	}
	d->proofs = 0;
	if (d->probes < cfg_int(w->agent->cfg, "verify_attempts")) {
		int64_t wait = d->prove_wait_ms;

		d->prove_wait_ms = wait * 2 < PROVE_RETRY_MAX_MS
				       ? wait * 2
				       : PROVE_RETRY_MAX_MS;
		return op_sleep(op, wait, deploy_prove);
	}
	d->is_proof_failure = true;
	return deploy_swap_back(op,
	    p->code == RC_OK
		? op_printf(op,
		      "%s:%d still serves another certificate (SHA-256 "
		      "%s, serial %s) after the reload",
		      d->plan.host, d->plan.port, d->seen, p->serial)
		: op_printf(op, "no TLS handshake with %s:%d: %s", d->plan.host,
		      d->plan.port, p->error));
}

static enum op_next
deploy_swapped_back(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	const char *why =
	    d->plan.reload_argv[0]
		? program_failure(op, "the reload after swapping back",
		      d->plan.reload_argv)
		: NULL;

	fault_point("agent.install.swapped_back");
	if (why)
		d->failure = op_printf(op, "%s; %s", d->failure, why);
	return deploy_failed(op, d->failure);
}
