/*
 * POST order/{id}: an order as it is by now (RFC 8555 section 7.1.3), and what
 * all answers of orders have in common.
 */
#include <cjson/cJSON.h>
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/acme/orders.h"
#include "apiserver/handlers/acme/signed.h"
#include "apiserver/live/gather.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/attr.h"
#include "common/base/buf.h"

#define RETRY_S "3" /* while a certificate is being made */

static op_step order_signed;
static op_step order_looked;

/* Why an order, or a challenge, is invalid: the words of acme_orders_settle,
 * acme_authz_deactivate and acme_challenges_give_up. */
static const struct {
	const char *word;
	enum acme_error type;
	const char *text;
} reasons[] = {
    {"expired", ACME_ORDER_NOT_READY,
	"the order was not finalized in time; place a new one"},
    {"deactivated", ACME_UNAUTHORIZED,
	"one of its authorizations was deactivated; place a new order"},
    {"given_up", ACME_SERVER_INTERNAL,
	"validation did not come to an end on this server, whatever the "
	"client did; place a new order, or ask whoever runs this server"},
    {"account_ended", ACME_UNAUTHORIZED,
	"the account was deactivated or revoked before the order was "
	"finalized"},
    {"order_changed", ACME_SERVER_INTERNAL,
	"whoever runs this server changed what the certificate is to be; "
	"place a new order"},
    {"job_cancelled", ACME_UNAUTHORIZED,
	"whoever runs this server refused or cancelled the issuance"},
    {"job_failed", ACME_SERVER_INTERNAL,
	"the CA did not issue the certificate; place a new order, or ask "
	"whoever runs this server"},
    {"job_gone", ACME_SERVER_INTERNAL,
	"nobody knows any more what became of the issuance; place a new order"},
};

/* --- shared --- */

bool
acme_is_own(struct op *op, const char *what, enum op_next *out_next)
{
	const struct acme_request *r = acme_request(op);

	if (op_rows(op) == 0) {
		*out_next = acme_problem_status(op, ACME_MALFORMED, 404,
		    "there is no %s of this id", what);
		return false;
	}
	if (strcmp(op_text(op, 0, "account_id"), r->account_id) != 0) {
		*out_next = acme_problem(op, ACME_UNAUTHORIZED,
		    "this %s is not the account's", what);
		return false;
	}
	return true;
}

bool
acme_is_read(struct op *op, enum op_next *out_next)
{
	if (!acme_request(op)->payload)
		return true;
	*out_next = acme_problem(op, ACME_MALFORMED,
	    "the payload must be empty (POST-as-GET, RFC 8555 section 6.3)");
	return false;
}

const char *
acme_url(struct op *op, const char *what, const char *id)
{
	return op_printf(op, "%s/%s/%s", acme_request(op)->base, what, id);
}

void
acme_put_time(struct json_w *w, const char *key, const char *text)
{
	if (text[0] == '\0')
		return;
	json_w_key(w, key);
	wiretime_put(w, text);
}

void
acme_retry_after(struct op *op, const char *seconds)
{
	reply_header(op, "Retry-After", seconds);
}

/* --- the answer --- */

const char *
acme_order_problem(struct arena *a, const char *stored)
{
	CLEANUP(buf_fini) struct buf b;
	const struct cJSON *error;
	const char *word = "", *why;
	struct json_w w;
	rc ret;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	ret = json_parse(a, stored, strlen(stored), &error, &why);
	if (ret == RC_OK)
		ret = json_str(error, "why", 64, &word);
	if (ret != RC_OK)
		return stored; /* a problem, as its worker told it */
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (strcmp(word, reasons[i].word) == 0)
			acme_put_problem(&w, reasons[i].type, reasons[i].text);
	}
	return b.len > 0 ? arena_strdup(a, buf_cstr(&b)) : stored;
}

void
acme_put_error(struct op *op, struct json_w *w, size_t row)
{
	const char *text = op_text(op, row, "error");

	if (text[0] == '\0')
		return;
	json_w_key(w, "error");
	json_w_raw(w, acme_order_problem(op_arena(op), text));
}

static void
put_authorizations(struct op *op, struct json_w *w)
{
	const char *text = op_printf(op, "{\"a\":%s}",
		       op_text(op, 0, "authorizations")),
		   *why;
	const struct cJSON *doc, *item;
	rc ret;

	json_w_key(w, "authorizations");
	json_w_open(w, '[');
	ret = json_parse(op_arena(op), text, strlen(text), &doc, &why);
	if (ret == RC_OK) {
		cJSON_ArrayForEach(item, json_get(doc, "a"))
		    json_w_str(w, acme_url(op, "authz", item->valuestring));
	}
	json_w_close(w, ']');
}

enum op_next
acme_reply_order(struct op *op, int status)
{
	const char *url = acme_url(op, "order", op_text(op, 0, "order_id"));
	const char *state = op_text(op, 0, "status");
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, "status", state);
	acme_put_time(w, "expires", op_text(op, 0, "expires_at"));
	json_w_kv_raw(w, "identifiers", op_text(op, 0, "identifiers"));
	if (!op_is_null(op, 0, "replaces")) /* RFC 9773 section 5 */
		json_w_kv(w, "replaces", op_text(op, 0, "replaces"));
	acme_put_error(op, w, 0);
	put_authorizations(op, w);
	json_w_kv(w, "finalize", op_printf(op, "%s/finalize", url));
	if (strcmp(state, "valid") == 0)
		json_w_kv(w, "certificate",
		    acme_url(op, "cert", op_text(op, 0, "version_id")));
	json_w_close(w, '}');
	if (strcmp(state, "processing") == 0)
		acme_retry_after(op, RETRY_S);
	return acme_reply(op, status);
}

/* --- the handler --- */

enum op_next
acme_order_start(struct op *op)
{
	return acme_signed(op, ACME_KID, order_signed);
}

static enum op_next
order_signed(struct op *op)
{
	enum op_next no;

	if (!acme_is_read(op, &no))
		return no;
	return gather_query(req_api(op)->acme_orders, op, req_param(op, "id"),
	    order_looked);
}

static enum op_next
order_looked(struct op *op)
{
	enum op_next no;

	if (!acme_is_own(op, "order", &no))
		return no;
	return acme_reply_order(op, 200);
}
