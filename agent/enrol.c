/*
 * enrol: a waiting issuance gets its key and CSR.
 *
 * The key is on disk before the CSR leaves, and the same key is used again
 * after any doubt, so a crash between any two steps ends in one CSR.
 */
#include <errno.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "agent/call.h"
#include "agent/keystore.h"
#include "agent/work.h"
#include "common/base/fault.h"
#include "common/base/rand.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "common/pki/csr.h"

#define CALL_MS 30000
#define SANS_MAX 100

struct enrol {
	const char *body;
	int64_t delay_ms;
	const char *failure;
};

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
	rc r;

	*out_why = "the work item is not as expected";
	r = json_parse(a, w->item_json, strlen(w->item_json), &item, out_why);
	if (r == RC_OK)
		r = json_str(item, "common_name", 253, &common_name);
	if (r != RC_OK)
		return r;
	r = json_str_list(a, item, "sans", SANS_MAX, 255, &sans, &n);
	if (r == RC_INVALID)
		return r;
	r = keystore_key(w->agent, w->job, &key);
	if (r != RC_OK) {
		*out_why = op_printf(op, "cannot store the private key: %s",
		    r == RC_IO ? strerror(errno) : rc_name(r));
		return r;
	}
	r = csr_make(a, key, common_name, sans, n, &pem);
	EVP_PKEY_free(key);
	if (r == RC_OK) {
		r = keystore_mark(w->agent, w->job, pem);
		*out_why = op_printf(op, "cannot remember the request: %s",
		    strerror(errno));
		*out_pem = pem;
	} else {
		*out_why = "the certificate's names do not make a CSR";
	}
	return r;
}

enum op_next
enrol_start(struct op *op)
{
	struct enrol *e = op_state(op, sizeof(*e));
	struct work *w = agent_arg(op);
	struct json_w json;
	struct buf body;
	const char *pem;
	rc r;

	r = make_csr(op, w, &pem, &e->failure);
	if (r != RC_OK) {
		keystore_forget(w->agent, w->job);
		return op_goto(op, enrol_report);
	}
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
		return op_done(op);
	}
	/* Doubt: the same key again.  A refusal is final. */
	if (reply->code != RC_OK || reply->status >= 500 ||
	    reply->status == 429) {
		e->delay_ms = e->delay_ms ? e->delay_ms * 2 : 100;
		if (e->delay_ms > 30000)
			e->delay_ms = 30000;
		log_warn("CSR-RETRY", "job %s: %s; again in %lld ms", w->job,
		    reply->error, (long long)e->delay_ms);
		op_extend(op, e->delay_ms + 2 * CALL_MS);
		return op_sleep(op, rand_jitter(e->delay_ms, 20), enrol_post);
	}
	e->failure = reply->error;
	keystore_forget(w->agent, w->job);
	if (reply->status == 404 || reply->status == 409) {
		log_warn("CSR-REFUSED", "job %s: %s", w->job, reply->error);
		return op_done(op); /* the job went on without us */
	}
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

	log_warn("ENROL-FAILED", "job %s: %s", w->job, e->failure);
	buf_init(&body, 0);
	json_w_init(&json, &body);
	json_w_open(&json, '{');
	json_w_kv(&json, "status", "Failed");
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
	/* Not delivered: the job is still in the next answer's work, and the
	 * enrolment starts over. */
	return op_done(op);
}
