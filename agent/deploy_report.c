/*
 * The end of a deployment: proof and outcome are told until the server has
 * them, and only then the install journal is closed.
 */
#include <string.h>

#include "agent/deploy_int.h"
#include "agent/keystore.h"
#include "common/base/fault.h"
#include "common/json/json.h"
#include "common/log/log.h"

#define FAILURE_MAX 2000
#define VERSIONS_KEPT 3

static op_step deploy_verified;
static op_step deploy_reported;

enum op_next
deploy_failed(struct op *op, const char *why)
{
	struct deploy *d = op_state(op, sizeof(*d));

	if (!d->failure)
		d->failure = why;
	/* A server's words may be long; the report has a limit. */
	if (strlen(d->failure) > FAILURE_MAX)
		d->failure = op_printf(op, "%.*s...", FAILURE_MAX, d->failure);
	d->delay_ms = 0;
	return op_goto(op, deploy_verify);
}

enum op_next
deploy_again(struct op *op, op_step *step)
{
	struct deploy *d = op_state(op, sizeof(*d));
	struct work *w = agent_arg(op);
	int64_t wait = call_backoff(&d->delay_ms);

	log_warn("CALL-RETRY", "job %s: %s; again in %lld ms", w->job,
	    call_reply(op)->error, (long long)wait);
	op_extend(op, DEPLOY_STEP_LIMIT_MS);
	return op_sleep(op, wait, step);
}

static const char *
finish_json(struct op *op, struct buf *b, struct json_w *w)
{
	const char *text;

	json_w_close(w, '}');
	text = arena_strdup(op_arena(op), buf_cstr(b));
	buf_fini(b);
	return text;
}

/* The proof, or its failure, before the end of the job is reported. */
enum op_next
deploy_verify(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	struct work *w = agent_arg(op);
	struct json_w json;
	struct buf b;

	if (d->failure && !d->is_proof_failure)
		return op_goto(op, deploy_report);
	buf_init(&b, 0);
	json_w_init(&json, &b);
	json_w_open(&json, '{');
	json_w_kv(&json, "target_id", w->target);
	json_w_kv(&json, "expected_fingerprint", d->j.fingerprint);
	json_w_kv(&json, "actual_fingerprint", d->seen);
	json_w_kv_bool(&json, "verified", !d->failure);
	json_w_kv(&json, "error", d->failure ? d->failure : "");
	return call_api(op, "POST",
	    op_printf(op, "/api/v1/jobs/%s/verify", w->job),
	    finish_json(op, &b, &json), DEPLOY_CALL_MS, deploy_verified);
}

/* Refused (the job is over, say): the report will hear the same. */
static enum op_next
deploy_verified(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	struct work *w = agent_arg(op);

	if (w->agent->is_retired || w->agent->is_stopping)
		return op_done(op); /* the journal stays open */
	if (call_is_in_doubt(call_reply(op)))
		return deploy_again(op, deploy_verify);
	d->delay_ms = 0;
	return op_goto(op, deploy_report);
}

enum op_next
deploy_report(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	struct work *w = agent_arg(op);
	struct json_w json;
	struct buf b;

	if (w->agent->is_retired || w->agent->is_stopping)
		return op_done(op);
	fault_point("agent.report.before");
	buf_init(&b, 0);
	json_w_init(&json, &b);
	json_w_open(&json, '{');
	json_w_kv(&json, "status", d->failure ? "Failed" : "Completed");
	json_w_kv(&json, "error", d->failure ? d->failure : "");
	if (d->j.version[0])
		json_w_kv(&json, "version_id", d->j.version);
	return call_api(op, "POST",
	    op_printf(op, "/api/v1/agents/%s/jobs/%s/status", w->agent->id,
		w->job),
	    finish_json(op, &b, &json), DEPLOY_CALL_MS, deploy_reported);
}

/* A death in here leaves what the next end of a deployment removes. */
static void
prune(struct op *op, struct work *w, struct deploy *d, const char *current)
{
	install_prune(op_arena(op), &d->paths, current,
	    d->j.previous ? d->j.previous : "", VERSIONS_KEPT);
	fault_point("agent.install.pruned");
	keystore_release(w->agent, d->paths.dir);
}

/* Failures leave no more behind than successes: what is current, and the
 * newest; the key of the newest stays for the retry. */
static void
prune_after_failure(struct op *op, struct work *w, struct deploy *d)
{
	const char *current;

	keystore_not_installed(w->agent, w->certificate, d->j.version);
	if (d->may_have_staged && w->dir &&
	    install_current(op_arena(op), &d->paths, &current) == RC_OK)
		prune(op, w, d, current);
}

static void
close_journal(struct work *w, const struct deploy *d)
{
	if (d->failure)
		install_journal_clear(w->agent, w->target);
	else
		install_journal_keep(w->agent, w->target);
}

static enum op_next
deploy_reported(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	const struct call_reply *reply = call_reply(op);
	struct work *w = agent_arg(op);

	fault_point("agent.report.after");
	if (w->agent->is_retired || w->agent->is_stopping)
		return op_done(op);
	if (call_is_in_doubt(reply))
		return deploy_again(op, deploy_report);
	if (reply->status != 200)
		log_warn("REPORT-REFUSED", "job %s: %s", w->job, reply->error);
	w->is_ended = reply->status == 200;
	if (!d->failure)
		install_settle(op_arena(op), &d->paths);
	if (w->dir) /* else the journal is another job's */
		close_journal(w, d);
	if (w->agent->on_deployed)
		w->agent->on_deployed(w->agent);
	if (d->failure) {
		log_warn("DEPLOY-FAILED", "job %s certificate %s target %s: %s",
		    w->job, w->certificate, w->target, d->failure);
		prune_after_failure(op, w, d);
		return op_done(op);
	}
	keystore_installed(w->agent, w->certificate, d->j.version);
	prune(op, w, d, op_printf(op, "v/%s", d->j.version));
	log_info("DEPLOYED", "job %s certificate %s version %s target %s%s",
	    w->job, w->certificate, d->j.version, w->target,
	    d->plan.host ? ", proven by a handshake" : "");
	return op_done(op);
}
