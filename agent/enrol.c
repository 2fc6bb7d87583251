/*
 * enrol: a waiting issuance gets its key and CSR.
 *
 * The key is on disk before the CSR leaves, and the same key is used again
 * after any doubt, so a crash between any two steps ends in one CSR.  Where it
 * cannot be stored just now the job waits, says why, and is tried again.
 */
#include <errno.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "agent/call.h"
#include "agent/keystore.h"
#include "agent/work.h"
#include "common/base/fault.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "common/pki/csr/csr.h"

#define CALL_MS 30000

struct enrol {
	const char *body;
	int64_t delay_ms;
	const char *failure;
	bool is_in_doubt; /* whether a post has arrived that was not answered */
};

/* Answers that will not change however often the CSR is posted. */
static bool
is_refusal(int status)
{
	return status == 400 || status == 404 || status == 409 ||
	       status == 413 || status == 422;
}

static op_step enrol_post;
static op_step enrol_posted;
static op_step enrol_report;
static op_step enrol_reported;

static rc
make_csr(struct op *op, struct work *w, const char **out_pem,
    const char **out_why)
{
	struct arena *a = op_arena(op);
	const struct cJSON *item;
	const char *common_name, **sans = NULL;
	size_t n = 0;
	EVP_PKEY *key;
	char *pem;
	rc ret;

	*out_why = "the work item is not as expected";
	ret = json_parse(a, w->item_json, strlen(w->item_json), &item, out_why);
	if (ret == RC_OK)
		ret = json_str(item, "common_name", 253, &common_name);
	if (ret != RC_OK)
		return ret;
	ret = json_str_list(a, item, "sans", CSR_SANS_MAX, 255, &sans, &n);
	if (ret == RC_INVALID)
		return ret;
	ret = keystore_key(w->agent, w->job, &key);
	if (ret != RC_OK) {
		*out_why = op_printf(op, "cannot store the private key: %s",
		    ret == RC_IO ? strerror(errno) : rc_name(ret));
		return ret;
	}
	ret = csr_make(a, key, common_name, sans, n, &pem);
	EVP_PKEY_free(key);
	if (ret == RC_OK) {
		ret = keystore_mark(w->agent, w->job, w->certificate, pem);
		*out_why = op_printf(op, "cannot remember the request: %s",
		    strerror(errno));
		*out_pem = pem;
	} else {
		*out_why = "the certificate's names do not make a CSR";
	}
	return ret;
}

enum op_next
enrol_start(struct op *op)
{
	struct enrol *e = op_state(op, sizeof(*e));
	struct work *w = agent_arg(op);
	struct json_w json;
	struct buf body;
	const char *pem;
	rc ret;

	ret = make_csr(op, w, &pem, &e->failure);
	/* No room, no descriptor, a disk that is read-only: the host's trouble
	 * and no end of the job, which is listed again. */
	w->is_put_off = ret == RC_IO;
	if (ret != RC_OK)
		return op_goto(op, enrol_report);
	buf_init(&body, 0);
	json_w_init(&json, &body);
	json_w_open(&json, '{');
	json_w_kv(&json, "csr_pem", pem);
	json_w_kv(&json, "certificate_id", w->certificate);
	json_w_kv(&json, "job_id", w->job);
	json_w_close(&json, '}');
	e->body = arena_strdup(op_arena(op), buf_cstr(&body));
	buf_fini(&body);
	return op_goto(op, enrol_post);
}

static enum op_next
enrol_post(struct op *op)
{
	struct enrol *e = op_state(op, sizeof(*e));
	struct work *w = agent_arg(op);

	fault_point("agent.csr.before");
	return call_api(op, "POST",
	    op_printf(op, "/api/v1/agents/%s/csr", w->agent->id), e->body,
	    CALL_MS, enrol_posted);
}

static enum op_next
enrol_again(struct op *op, const char *code, op_step *step)
{
	struct enrol *e = op_state(op, sizeof(*e));
	const struct call_reply *reply = call_reply(op);
	struct work *w = agent_arg(op);
	int64_t wait = call_backoff(&e->delay_ms);

	log_warn(code, "job %s: %s; again in %lld ms", w->job,
	    reply->error ? reply->error : "unexpected answer", (long long)wait);
	op_extend(op, wait + 2 * CALL_MS);
	return op_sleep(op, wait, step);
}

static enum op_next
enrol_posted(struct op *op)
{
	struct enrol *e = op_state(op, sizeof(*e));
	const struct call_reply *reply = call_reply(op);
	struct work *w = agent_arg(op);

	fault_point("agent.csr.after");
	if (w->agent->is_retired || w->agent->is_stopping)
		return op_done(op);
	if (reply->code == RC_OK && reply->status == 202) {
		log_info("CSR-SENT", "job %s certificate %s", w->job,
		    w->certificate);
		w->is_ended = true;
		return op_done(op);
	}
	/* Doubt: the same key again, for an earlier post may have arrived.
	 * Only a refusal of the CSR itself is final. */
	if (reply->code != RC_OK || !is_refusal(reply->status)) {
		e->is_in_doubt = true;
		return enrol_again(op, "CSR-RETRY", enrol_post);
	}
	e->failure = reply->error;
	if (e->is_in_doubt) {
		/* An earlier post may have been accepted, before the names
		 * were edited, say: its key is needed then.  A job that waits
		 * still is listed again. */
		log_warn("CSR-REFUSED", "job %s: %s; its key is kept", w->job,
		    reply->error);
		return op_done(op);
	}
	if (reply->status == 404 || reply->status == 409) {
		/* The job went on without us. */
		log_warn("CSR-REFUSED", "job %s: %s", w->job, reply->error);
		keystore_forget(w->agent, w->job);
		return op_done(op);
	}
	e->delay_ms = 0;
	return op_goto(op, enrol_report);
}

static enum op_next
enrol_report(struct op *op)
{
	struct enrol *e = op_state(op, sizeof(*e));
	struct work *w = agent_arg(op);
	struct json_w json;
	struct buf body;
	const char *text;

	if (e->delay_ms == 0)
		log_warn(w->is_put_off ? "ENROL-PUT-OFF" : "ENROL-FAILED",
		    "job %s: %s%s", w->job, e->failure,
		    w->is_put_off ? ", trying again" : "");
	buf_init(&body, 0);
	json_w_init(&json, &body);
	json_w_open(&json, '{');
	json_w_kv(&json, "status", w->is_put_off ? "Running" : "Failed");
	json_w_kv(&json, "error", e->failure);
	json_w_close(&json, '}');
	text = arena_strdup(op_arena(op), buf_cstr(&body));
	buf_fini(&body);
	return call_api(op, "POST",
	    op_printf(op, "/api/v1/agents/%s/jobs/%s/status", w->agent->id,
		w->job),
	    text, CALL_MS, enrol_reported);
}

static enum op_next
enrol_reported(struct op *op)
{
	const struct call_reply *reply = call_reply(op);
	struct work *w = agent_arg(op);

	if (w->agent->is_retired || w->agent->is_stopping)
		return op_done(op); /* it is in the next start's work again */
	/* The words for people come with the next try. */
	if (call_is_in_doubt(reply) && !w->is_put_off)
		return enrol_again(op, "REPORT-RETRY", enrol_report);
	if (reply->status != 200)
		log_warn("REPORT-REFUSED", "job %s: %s", w->job, reply->error);
	if (w->is_put_off)
		return op_done(op);
	/* The job is over, and with it the use of its key, unless the server
	 * knows more of it than we do. */
	if (reply->status == 200)
		keystore_forget(w->agent, w->job);
	return op_done(op);
}
