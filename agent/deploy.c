/*
 * deploy: one version onto one target, proven by a handshake.
 *
 * fetch, stage, journal, switch, test, reload, prove, report, clear.  A crash
 * before the journal leaves nothing but a staged directory; after it, the
 * next start goes on at the configuration test.  A failure swaps back and
 * reloads (deploy_back.c), but never to an expired or revoked pair.
 */
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

#define BUSY_RETRY_MS 100
#define RELOADS_MAX 3
#define RELOAD_RETRY_MS 500

static op_step deploy_claim_dir;
static op_step deploy_fetch;
static op_step deploy_fetched;
static op_step deploy_test;
static op_step deploy_reload;
static op_step deploy_tested;
static op_step deploy_reloaded;
static op_step deploy_show;
static op_step deploy_proven;
static op_step deploy_not_proven;

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

rc
deploy_plan(struct op *op, const struct install_journal *j,
    struct target_plan *plan, struct install_paths *paths, const char **out_why)
{
	const struct target_kind *kind = target_find(j->type);
	struct arena *a = op_arena(op);
	const struct cJSON *config;
	rc ret;

	if (!kind) {
		*out_why = op_printf(op,
		    "this agent cannot deploy to targets "
		    "of type %s",
		    j->type);
		return RC_INVALID;
	}
	ret = json_parse(a, j->config, strlen(j->config), &config, out_why);
	if (ret == RC_OK)
		ret = kind->plan(a, config, plan, out_why);
	if (ret == RC_OK)
		ret = allow_plan(a, &agent_of(op)->allow, kind, plan, out_why);
	if (ret == RC_OK)
		ret = install_paths_of(a, plan->cert_path, plan->key_path,
		    plan->chain_path, paths, out_why);
	if (ret == RC_OK)
		ret = allow_versions(a, &agent_of(op)->allow, kind, paths->dir,
		    out_why);
	if (ret != RC_OK)
		return ret;
	paths->bounds = allow_bounds(a, &agent_of(op)->allow, kind);
	paths->cert = plan->cert;
	paths->key = plan->key;
	paths->chain = plan->chain;
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
		ret = deploy_plan(op, &d->j, &d->plan, &d->paths, &why);
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
		d->may_have_staged = true;
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

/* An install of this target that did not end (it ran out of time, say) still
 * has its journal.  What it put there was never proven: what it was to replace
 * is what to go back to, and what was known of that stays known. */
static void
take_from_unfinished(struct op *op, struct work *w, struct deploy *d)
{
	struct install_journal old;

	if (install_journal_read(w->agent, op_arena(op), w->target, &old) !=
		RC_OK ||
	    strcmp(old.config, d->j.config) != 0)
		return;
	if (strcmp(d->j.previous, op_printf(op, "v/%s", old.version)) == 0)
		d->j.previous = old.previous;
	if (strcmp(d->j.previous, old.previous) != 0)
		return;
	d->j.is_previous_revoked = old.is_previous_revoked;
	d->j.is_loaded = old.is_loaded;
}

/* What to go back to when the new version does not serve.  Where the new one
 * stands already, and no journal knows better, that is what stays. */
static rc
find_previous(struct op *op, struct work *w, struct deploy *d,
    const char **out_why)
{
	rc ret;

	ret = install_current(op_arena(op), &d->paths, &d->j.previous);
	if (ret != RC_OK) {
		*out_why = op_printf(op, "cannot read %s/current: %s",
		    d->paths.dir, strerror(errno));
		return ret;
	}
	take_from_unfinished(op, w, d);
	return RC_OK;
}

/* The journal keeps it, for a resumed install asks the server nothing.  A
 * server that does not list revoked pairs leaves it as it was known. */
static void
note_revoked(struct op *op, struct deploy *d, const struct cJSON *revoked)
{
	const struct cJSON *one;
	const char *fp;

	IGNORE_RESULT(
	    install_is_usable(op_arena(op), &d->paths, d->j.previous, &fp));
	cJSON_ArrayForEach(one, revoked)
	{
		if (fp[0] && cJSON_IsString(one) &&
		    strcmp(one->valuestring, fp) == 0)
			d->j.is_previous_revoked = true;
	}
}

static rc
stage_and_switch(struct op *op, struct work *w, struct deploy *d,
    const char *pem, const struct secret *key_pem, const struct cJSON *revoked,
    const char **out_why)
{
	struct arena *a = op_arena(op);
	const char *target = arena_printf(a, "v/%s", d->j.version);
	rc ret;

	ret = install_check(a, &d->paths, out_why);
	if (ret != RC_OK)
		return ret;
	d->may_have_staged = true;
	ret = keystore_hold(w->agent, d->j.version, d->paths.dir);
	if (ret != RC_OK) {
		*out_why =
		    op_printf(op, "cannot note where the key is used: %s",
			ret == RC_IO ? strerror(errno) : rc_name(ret));
		return ret;
	}
	ret = install_stage(a, &d->paths, d->j.version, pem, key_pem, out_why);
	if (ret == RC_OK)
		ret = install_owner_write(a, &d->paths, d->j.certificate,
		    out_why);
	if (ret == RC_OK)
		ret = install_adopt(a, &d->paths, out_why);
	fault_point("agent.install.staged");
	if (ret == RC_OK)
		ret = find_previous(op, w, d, out_why);
	if (ret != RC_OK)
		return ret;
	note_revoked(op, d, revoked);
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
	/* Before there is anything to undo: what stands there is another's. */
	if (ret == RC_OK)
		ret = install_owner_check(op_arena(op), &d->paths,
		    d->j.certificate, &why);
	if (ret == RC_OK) {
		ret = stage_and_switch(op, w, d, pem, key_pem,
		    json_get(reply->json, "revoked_fingerprints"), &why);
		if (ret != RC_OK)
			why = deploy_undo(op, why);
	}
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
	ret = install_adopt(op_arena(op), &d->paths, &why);
	if (ret == RC_OK)
		ret = install_switch(op_arena(op), &d->paths, target, &why);
	if (ret != RC_OK)
		return deploy_failed(op, deploy_undo(op, why));
	if (!d->plan.test_argv[0])
		return op_goto(op, deploy_reload);
	return call_program(op, d->plan.test_argv, false, DEPLOY_PROGRAM_MS,
	    deploy_tested);
}

static enum op_next
deploy_tested(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	const char *why = deploy_program_failure(op, "the configuration test",
	    d->plan.test_argv);

	fault_point("agent.install.tested");
	if (why)
		return deploy_swap_back(op, why);
	return op_goto(op, deploy_reload);
}

static enum op_next
deploy_reload(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	struct work *w = agent_arg(op);

	/* Durable before it happens: after a crash the way back is to be
	 * proven too. */
	if (!d->j.is_loaded) {
		d->j.is_loaded = true;
		if (install_journal_write(w->agent, &d->j) != RC_OK) {
			d->j.is_loaded = false;
			return deploy_swap_back(op,
			    op_printf(op,
				"cannot write the install journal: %s",
				strerror(errno)));
		}
	}
	if (!d->plan.reload_argv[0])
		return op_goto(op, deploy_show);
	return call_program(op, d->plan.reload_argv, true, DEPLOY_PROGRAM_MS,
	    deploy_reloaded);
}

static enum op_next
deploy_reloaded(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	const char *why =
	    deploy_program_failure(op, "the reload", d->plan.reload_argv);

	fault_point("agent.install.reloaded");
	/* A server that is just starting again has no process to tell. */
	if (why && ++d->reloads < RELOADS_MAX)
		return op_sleep(op, RELOAD_RETRY_MS, deploy_reload);
	if (why)
		return deploy_swap_back(op, why);
	return op_goto(op, deploy_show);
}

static enum op_next
deploy_show(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));

	if (!d->plan.host)
		return op_goto(op, deploy_report);
	return deploy_prove(op, d->j.fingerprint, deploy_proven,
	    deploy_not_proven);
}

static enum op_next
deploy_proven(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));

	d->seen = d->proof.seen;
	fault_point("agent.install.proved");
	d->delay_ms = 0;
	return op_goto(op, deploy_verify);
}

static enum op_next
deploy_not_proven(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	const struct call_probe *p = call_probe(op);

	d->seen = d->proof.seen;
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
