/*
 * POST challenge/{id}: the client has done what the challenge asks for, and a
 * worker is to look (RFC 8555 section 7.5.1); or how it went.
 */
#include <inttypes.h>
#include <string.h>

#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/acme/orders.h"
#include "apiserver/handlers/acme/signed.h"

#define RETRY_S "2" /* while a worker looks */

static op_step challenge_signed;
static op_step challenge_answered;
static op_step challenge_read;

void
acme_put_challenge(struct op *op, struct json_w *w, size_t row)
{
	json_w_open(w, '{');
	json_w_kv(w, "type", op_text(op, row, "type"));
	json_w_kv(w, "url",
	    acme_url(op, "challenge", op_text(op, row, "challenge_id")));
	json_w_kv(w, "status", op_text(op, row, "challenge_status"));
	json_w_kv(w, "token", op_text(op, row, "token"));
	acme_put_time(w, "validated", op_text(op, row, "validated_at"));
	acme_put_error(op, w, row);
	json_w_close(w, '}');
}

enum op_next
acme_challenge_start(struct op *op)
{
	return acme_signed(op, ACME_KID, challenge_signed);
}

static enum op_next
challenge_signed(struct op *op)
{
	const struct acme_request *r = acme_request(op);

	if (!r->payload)
		return OP_QUERY(op, Q_ACME_CHALLENGE, challenge_read,
		    req_param(op, "id"));
	return OP_QUERY(op, Q_ACME_CHALLENGE_ANSWER, challenge_answered,
	    r->account_id, req_param(op, "id"),
	    op_printf(op, "%" PRId64,
		r->settings.challenge_responses_per_hour));
}

/* Whose it is, is said by what is read next. */
static enum op_next
challenge_answered(struct op *op)
{
	const char *wait_s = op_text(op, 0, "wait_s");

	if (outcome_is(op, "over"))
		return acme_problem(op, ACME_MALFORMED,
		    "the authorization or the order of this challenge has "
		    "ended; place a new order");
	if (outcome_is(op, "limited")) {
		acme_retry_after(op, wait_s);
		return acme_limited(op, ACME_LIMIT_CHALLENGES,
		    "this challenge was answered as often as it may be in an "
		    "hour; the next answer is taken in %s seconds",
		    wait_s);
	}
	if (outcome_is(op, "accepted"))
		req_hint_due(op, NULL, op_text(op, 0, "due_after"));
	return OP_QUERY(op, Q_ACME_CHALLENGE, challenge_read,
	    req_param(op, "id"));
}

static enum op_next
challenge_read(struct op *op)
{
	enum op_next no;

	if (!acme_is_own(op, "challenge", &no))
		return no;
	acme_link(op, acme_url(op, "authz", op_text(op, 0, "authz_id")), "up");
	if (strcmp(op_text(op, 0, "challenge_status"), "processing") == 0)
		acme_retry_after(op, RETRY_S);
	acme_put_challenge(op, reply_writer(op), 0);
	return acme_reply(op, 200);
}
