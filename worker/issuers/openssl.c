/*
 * The issuer of type OpenSSL: a script of the operator's signs.
 *
 *	sign_script <csr file> <certificate out file>
 *	lookup_script <order reference> <certificate out file>
 *	revoke_script <serial number> <reason>
 *	crl_script <revocations file> <list out file> (script_list.h)
 *
 * The first two may end with status 10: the CA has the order, and works on it.
 *
 * No shell, a directory of its own for each run, a process group that is
 * killed at the deadline.  The script runs below timeout(1), so that it also
 * ends when this worker died: until then nobody else takes the job over, and
 * afterwards no order of it can appear any more.
 *
 * Whoever may write issuers must not be able to choose what runs here, so
 * scripts stand in one directory that the host's administrator names, and
 * only he may have written them.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/json/json.h"
#include "common/pki/cert/certresult.h"
#include "worker/issuers/issuer.h"
#include "worker/issuers/script_files.h"
#include "worker/issuers/script_list.h"
#include "worker/issuers/script_rules.h"
#include "worker/issuers/script_run.h"

#define TIMEOUT_DEFAULT_S 30
#define TIMEOUT_MAX_S 600
#define PATH_BYTES_MAX 1024
#define EXIT_NO_ORDER 3
#define EXIT_PENDING 10

struct config {
	const char *sign, *look_up, *revoke, *crl; /* "" for none */
	int64_t timeout_s;
};

struct order { /* in the arena */
	const struct issuer_env *env;
	const struct issuer_order *o;
	struct arena *a;
	struct config config;
	const char *dir, *csr_path, *cert_path;
	bool is_look_up;
	const char *asked_for; /* by a look-up: whose order */
	issuer_answer_fn *done;
	void *arg;
};

/* --- configuration --- */

static rc
read_path(struct arena *a, const struct cJSON *config, const char *name,
    const char **out, const char **out_why)
{
	rc ret = json_str(config, name, PATH_BYTES_MAX, out);

	if (ret == RC_NOT_FOUND)
		return RC_OK;
	if (ret != RC_OK)
		*out_why = arena_printf(a, "%s is not a path", name);
	return ret;
}

static rc
read_config(struct arena *a, const char *text, struct config *out,
    const char **out_why)
{
	struct config c = {"", "", "", "", TIMEOUT_DEFAULT_S};
	const struct cJSON *object;
	rc ret;

	ret = json_parse(a, text, strlen(text), &object, out_why);
	if (ret == RC_OK)
		ret = read_path(a, object, "sign_script", &c.sign, out_why);
	if (ret == RC_OK)
		ret =
		    read_path(a, object, "lookup_script", &c.look_up, out_why);
	if (ret == RC_OK)
		ret = read_path(a, object, "revoke_script", &c.revoke, out_why);
	if (ret == RC_OK)
		ret = read_path(a, object, "crl_script", &c.crl, out_why);
	if (ret != RC_OK)
		return RC_INVALID;
	ret =
	    json_int(object, "timeout_seconds", 1, TIMEOUT_MAX_S, &c.timeout_s);
	if (ret == RC_INVALID) {
		*out_why = "timeout_seconds is not a whole number from 1 to "
			   "600";
		return RC_INVALID;
	}
	if (c.sign[0] == '\0') {
		*out_why = "sign_script is missing";
		return RC_INVALID;
	}
	*out = c;
	return RC_OK;
}

/* --- which scripts may run --- */

/* RC_INVALID: the configuration; RC_IO: this host. */
static rc
read_and_check(const struct issuer_env *env, struct arena *a, const char *text,
    struct config *out, const char **out_why)
{
	rc ret = read_config(a, text, out, out_why);

	if (ret != RC_OK)
		return ret;

	const char *const scripts[] = {out->sign, out->look_up, out->revoke,
	    out->crl};

	for (size_t i = 0; ret == RC_OK && i < ARRAY_LEN(scripts); i++)
		if (scripts[i][0] != '\0')
			ret = script_rules_check(env->script_dir, a, scripts[i],
			    out_why);
	return ret;
}

/* --- files --- */

static void
order_end(void *arg)
{
	struct order *o = arg;

	script_files_remove(o->dir);
}

static rc
make_files(struct order *o, const char **out_why)
{
	const char *dir = script_files_dir(o->a, out_why);

	if (!dir)
		return RC_IO;
	o->dir = dir;
	arena_defer(o->a, order_end, o);
	o->csr_path = arena_printf(o->a, "%s/request.pem", dir);
	o->cert_path = arena_printf(o->a, "%s/certificate.pem", dir);
	return script_files_write(o->a, o->csr_path, o->o->csr_pem,
	    strlen(o->o->csr_pem), out_why);
}

static rc
script_check(const struct issuer_env *env, struct arena *a, const char *config,
    const char **out_why)
{
	struct config c;
	rc ret;

	ret = read_and_check(env, a, config, &c, out_why);
	return ret == RC_OK ? script_files_try(a, out_why) : ret;
}

static rc
script_open(const struct issuer_ops *ops, const struct issuer_env *env,
    struct arena *a, const char *config, const struct issuer_order *order,
    void **out, const char **out_why)
{
	struct order *o = arena_alloc(a, sizeof(*o));
	rc ret;

	o->env = env;
	o->o = order;
	o->a = a;
	ret = read_and_check(env, a, config, &o->config, out_why);
	if (ret != RC_OK)
		return ret;
	if (order) { /* to revoke takes no files */
		ret = make_files(o, out_why);
		if (ret != RC_OK)
			return ret;
	}
	*out = o;
	return RC_OK;
}

static int64_t
script_limit_ms(const void *order)
{
	const struct order *o = order;

	return o->config.timeout_s * 1000;
}

static bool
script_can_look_up(const void *order)
{
	const struct order *o = order;

	return o->config.look_up[0] != '\0';
}

/* What the script left; one that is larger than a certificate and its chain
 * may be is that by its length alone.  Empty when there is none. */
static const char *
read_certificate(struct order *o, size_t *out_len)
{
	char *text;
	rc ret;

	ret = script_files_read(o->a, o->cert_path, CERTRESULT_PEM_MAX, &text,
	    out_len);
	if (ret == RC_OK)
		return text;
	*out_len = ret == RC_TOO_LARGE ? CERTRESULT_PEM_MAX + 1 : 0;
	return arena_alloc(o->a, *out_len + 1);
}

/* --- what it said --- */

/* A script that ended by itself, saying no and leaving nothing, has made no
 * order; one that says so has made one, if it can be found again.  Of every
 * other end nobody can say. */
static enum issuer_verdict
judge_sign(const struct order *o, rc code, int exit_status, size_t len)
{
	if (code != RC_OK || exit_status > SCRIPT_EXIT_SIGNAL)
		return ISSUER_UNSURE;
	if (exit_status == 0)
		return len > 0 ? ISSUER_ISSUED : ISSUER_UNSURE;
	if (len > 0)
		return ISSUER_UNSURE;
	if (exit_status == EXIT_PENDING)
		return script_can_look_up(o) ? ISSUER_PENDING : ISSUER_UNSURE;
	return ISSUER_RETRY;
}

static enum issuer_verdict
judge_look_up(rc code, int exit_status, size_t len)
{
	if (code == RC_OK && exit_status == 0 && len > 0)
		return ISSUER_ISSUED;
	if (code == RC_OK && exit_status == EXIT_NO_ORDER)
		return ISSUER_NO_ORDER;
	if (code == RC_OK && exit_status == EXIT_PENDING && len == 0)
		return ISSUER_PENDING;
	return ISSUER_RETRY;
}

static void
script_ended(void *arg, rc code, int exit_status, const char *output)
{
	struct order *o = arg;
	struct issuer_answer answer = {0};

	answer.pem = read_certificate(o, &answer.len);
	answer.verdict = o->is_look_up
			     ? judge_look_up(code, exit_status, answer.len)
			     : judge_sign(o, code, exit_status, answer.len);
	answer.order_id = o->asked_for;
	answer.words = script_run_words(o->a,
	    o->is_look_up ? "lookup_script" : "sign_script", code, exit_status,
	    output);
	if (code == RC_OK && exit_status == 0 && answer.len == 0)
		answer.words = arena_printf(o->a,
		    "%s, and wrote no certificate", answer.words);
	o->done(o->arg, &answer);
}

/* --- running it --- */

static const char *
join_names(struct order *o)
{
	const struct csr *c = o->o->csr;
	const char *text = "";

	for (size_t i = 0; i < c->nnames; i++)
		text = arena_printf(o->a, "%s%s%s", text, i > 0 ? "," : "",
		    c->names[i].text);
	return text;
}

static const char *const *
make_env(struct order *o)
{
	const struct csr *c = o->o->csr;
	const char **env = arena_alloc(o->a, 5 * sizeof(char *));
	const char *cn = c->common_name ? c->common_name : c->names[0].text;

	env[0] = arena_printf(o->a, "CERTCTL_MAX_TTL_SECONDS=%" PRId64,
	    o->o->max_ttl_s);
	env[1] = arena_printf(o->a, "CERTCTL_COMMON_NAME=%s", cn);
	env[2] = arena_printf(o->a, "CERTCTL_SANS=%s", join_names(o));
	env[3] =
	    arena_printf(o->a, "CERTCTL_ORDER_REFERENCE=%s", o->o->reference);
	return env;
}

static rc
run(struct order *o, const char *script, const char *argument, int64_t limit_ms,
    issuer_answer_fn *done, void *arg)
{
	const char *const args[] = {argument, o->cert_path, NULL};
	const struct script_run what = {
	    .script = script,
	    .args = args,
	    .env = make_env(o),
	    .limit_ms = limit_ms,
	};

	o->done = done;
	o->arg = arg;
	return script_run(o->env, o->a, &what, script_ended, o);
}

/* What an earlier run left, whole or half, is not this one's. */
static rc
forget_certificate(const struct order *o)
{
	return unlink(o->cert_path) < 0 && errno != ENOENT ? RC_IO : RC_OK;
}

static rc
script_place(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	if (forget_certificate(o) != RC_OK)
		return RC_IO;
	o->is_look_up = false;
	o->asked_for = o->o->reference;
	return run(o, o->config.sign, o->csr_path, script_limit_ms(o), done,
	    arg);
}

static rc
script_poll(void *order, const char *order_id, issuer_answer_fn *done,
    void *arg)
{
	struct order *o = order;
	int64_t limit_ms = script_limit_ms(o);

	if (forget_certificate(o) != RC_OK)
		return RC_IO;
	o->is_look_up = true;
	o->asked_for = order_id;
	if (limit_ms > ISSUER_ASK_MS)
		limit_ms = ISSUER_ASK_MS;
	return run(o, o->config.look_up, order_id, limit_ms, done, arg);
}

/* The script knows an order by our reference, always. */
static rc
script_look_up(void *order, issuer_answer_fn *done, void *arg)
{
	const struct order *o = order;

	return script_poll(order, o->o->reference, done, arg);
}

/* --- revoking --- */

static void
revoke_ended(void *arg, rc code, int exit_status, const char *output)
{
	struct order *o = arg;
	struct issuer_answer answer = {
	    .words = script_run_words(o->a, "revoke_script", code, exit_status,
		output),
	};

	if (code != RC_OK || exit_status > SCRIPT_EXIT_SIGNAL)
		answer.verdict = ISSUER_RETRY;
	else if (exit_status == EXIT_PENDING)
		answer.verdict = ISSUER_PENDING;
	else
		answer.verdict =
		    exit_status == 0 ? ISSUER_DONE : ISSUER_REFUSED;
	o->done(o->arg, &answer);
}

static rc
script_revoke(void *order, const struct issuer_revocation *revocation,
    issuer_answer_fn *done, void *arg)
{
	struct order *o = order;
	const char *const args[] = {revocation->serial, revocation->reason,
	    NULL};
	const char *const vars[] = {
	    arena_printf(o->a, "CERTCTL_ORDER_REFERENCE=%s",
		revocation->order_id),
	    arena_printf(o->a, "CERTCTL_REASON_CODE=%d",
		revocation->reason_code),
	    NULL,
	};
	struct script_run what = {
	    .script = o->config.revoke,
	    .args = args,
	    .env = vars,
	    .limit_ms = script_limit_ms(o),
	};

	if (what.script[0] == '\0')
		return RC_NOT_FOUND;
	if (what.limit_ms > ISSUER_ASK_MS)
		what.limit_ms = ISSUER_ASK_MS;
	o->done = done;
	o->arg = arg;
	return script_run(o->env, o->a, &what, revoke_ended, o);
}

/* --- its revocation list --- */

static rc
script_fetch_list(void *order, const struct issuer_revoked *revoked, size_t n,
    issuer_answer_fn *done, void *arg)
{
	struct order *o = order;
	int64_t limit_ms = script_limit_ms(o);

	if (o->config.crl[0] == '\0')
		return RC_NOT_FOUND;
	if (limit_ms > ISSUER_ASK_MS)
		limit_ms = ISSUER_ASK_MS;
	return script_list_run(o->env, o->a, o->config.crl, limit_ms, revoked,
	    n, done, arg);
}

const struct issuer_ops issuer_openssl = {
    .type = "OpenSSL",
    .check = script_check,
    .open = script_open,
    .limit_ms = script_limit_ms,
    .can_look_up = script_can_look_up,
    .place = script_place,
    .look_up = script_look_up,
    .poll = script_poll,
    .revoke = script_revoke,
    .fetch_list = script_fetch_list,
};
