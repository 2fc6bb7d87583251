#include "worker/issuers/acme_order.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/json/json.h"
#include "common/pki/cert/certid.h"
#include "worker/issuers/acme_text.h"

#define LISTED_MAX 10

/* --- placing --- */

static void place(struct acme_order *o);

/* Whether none came of it: all problems say so, other answers do not. */
static enum issuer_verdict
judge_order(const struct acme_reply *r)
{
	static const char *const not_ours[] = {"accountDoesNotExist",
	    "badNonce", "externalAccountRequired", "rateLimited",
	    "serverInternal", "unauthorized", "userActionRequired", NULL};

	if (!r->http)
		return ISSUER_RETRY;
	if (r->problem[0] != '\0' && r->http->status < 500)
		return acme_is_one_of(r->problem, not_ours) ? ISSUER_RETRY
							    : ISSUER_REFUSED;
	return issuer_http_judge_order(r->http);
}

static void
on_placed(void *arg, const struct acme_reply *r)
{
	struct acme_order *o = arg;
	enum issuer_verdict verdict;

	if (!r->is_good) {
		verdict = judge_order(r);
		if (verdict == ISSUER_REFUSED && o->has_replaces) {
			/* It may be of a certificate that the CA does not know,
			 * or that was replaced already. */
			o->has_replaces = false;
			place(o);
			return;
		}
		acme_order_answer(o, verdict, r->words, r->retry_after_s);
		return;
	}
	o->url = r->location;
	o->note = ""; /* one of an order that is gone is not this one's */
	if (!o->url || strlen(o->url) > ISSUER_ORDER_ID_MAX)
		acme_order_answer(o, ISSUER_UNSURE,
		    "the answer to the order does not say its URL", 0);
	else
		acme_order_pending(o, "it has been placed", ACME_SOON_MS, 0);
}

static void
write_names(struct json_w *w, const struct csr *c)
{
	json_w_key(w, "identifiers");
	json_w_open(w, '[');
	for (size_t i = 0; i < c->nnames; i++) {
		json_w_open(w, '{');
		json_w_kv(w, "type", c->names[i].type == SAN_IP ? "ip" : "dns");
		json_w_kv(w, "value", c->names[i].text);
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
}

/* What names the certificate that is renewed (RFC 9773 section 4.1), NULL where
 * there is none, or nothing can. */
static const char *
replaced(struct acme_order *o)
{
	uint8_t serial[21] = {0}, *p = serial + 1;
	size_t len = sizeof(serial) - 1;
	struct certid id;

	if (o->o->previous_pem[0] == '\0' ||
	    certid_of_pem(o->a, o->o->previous_pem, &id) != RC_OK ||
	    enc_unhex(id.serial_hex, p, len) != RC_OK)
		return NULL;
	/* The content of the INTEGER: as short as it may be, and positive. */
	for (; len > 1 && *p == 0; len--)
		p++;
	if (*p & 0x80) {
		p--;
		len++;
	}
	return arena_printf(o->a, "%s.%s",
	    enc_base64url(o->a, id.issuer_key.p, id.issuer_key.len),
	    enc_base64url(o->a, p, len));
}

static void
place(struct acme_order *o)
{
	struct acme_request req = {.resource = "newOrder"};
	const char *id = o->has_replaces ? replaced(o) : NULL;
	struct buf body;
	struct json_w w;

	o->has_replaces = id != NULL;
	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	write_names(&w, o->o->csr);
	json_w_kv_opt(&w, "profile", o->config.profile);
	json_w_kv_opt(&w, "replaces", id);
	json_w_close(&w, '}');
	req.payload = arena_strdup(o->a, buf_cstr(&body));
	buf_fini(&body);
	acme_client_ask(o->client, &req, on_placed, o);
}

static void
on_known(void *arg, const struct acme_reply *r)
{
	struct acme_order *o = arg;

	/* Whether it may say what it renews, the directory says. */
	if (!r->is_good) {
		acme_order_answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
		return;
	}
	o->has_replaces = acme_client_has(o->client, "renewalInfo");
	place(o);
}

rc
acme_place(void *order, issuer_answer_fn *done, void *arg)
{
	struct acme_order *o = order;

	acme_order_begin(o, ACME_PLACE_MS, done, arg);
	if (o->o->previous_pem[0] != '\0')
		acme_order_ask(o, NULL, NULL,
		    on_known); /* the account, by itself */
	else
		place(o);
	return RC_OK;
}

/* --- looking up --- */

static void look_at_next(struct acme_order *o);

static bool
has_name(const struct cJSON *identifiers, const struct san *name)
{
	const char *type = name->type == SAN_IP ? "ip" : "dns";
	const struct cJSON *item = NULL;

	cJSON_ArrayForEach(item, identifiers)
	{
		if (strcmp(acme_text(item, "type"), type) == 0 &&
		    strcasecmp(acme_text(item, "value"), name->text) == 0)
			return true;
	}
	return false;
}

/* An order for the same names that was not finalized. */
static bool
may_be_ours(const struct acme_order *o, const struct cJSON *json)
{
	const struct cJSON *identifiers = json_get(json, "identifiers");
	const struct csr *c = o->o->csr;
	const char *status = acme_text(json, "status");

	if ((strcmp(status, "pending") != 0 && strcmp(status, "ready") != 0) ||
	    cJSON_GetArraySize(identifiers) != (int)c->nnames)
		return false;
	for (size_t i = 0; i < c->nnames; i++)
		if (!has_name(identifiers, &c->names[i]))
			return false;
	return true;
}

static void
on_candidate(void *arg, const struct acme_reply *r)
{
	struct acme_order *o = arg;

	if (r->is_good && may_be_ours(o, r->http->json)) {
		o->url = o->listed[o->at - 1];
		o->note = "";
		acme_order_pending(o, "found among the account's orders",
		    ACME_SOON_MS, 0);
	} else if (r->is_good || (r->http && r->http->status == 404)) {
		look_at_next(o);
	} else {
		acme_order_answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
	}
}

static void
look_at_next(struct acme_order *o)
{
	if (o->at == o->nlisted || o->at == LISTED_MAX)
		acme_order_answer(o, ISSUER_NO_ORDER,
		    "none of its orders is ours", 0);
	else
		acme_order_ask(o, o->listed[o->at++], NULL, on_candidate);
}

static void
on_list(void *arg, const struct acme_reply *r)
{
	struct acme_order *o = arg;

	if (!r->is_good || !r->http->json ||
	    json_str_list(o->a, r->http->json, "orders", 10000,
		ISSUER_ORDER_ID_MAX, &o->listed, &o->nlisted) == RC_INVALID) {
		acme_order_answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
		return;
	}
	look_at_next(o);
}

static void
on_account(void *arg, const struct acme_reply *r)
{
	struct acme_order *o = arg;
	const char *url;

	if (!r->is_good) {
		acme_order_answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
		return;
	}
	url = acme_text(r->http->json, "orders");
	if (url[0] != '\0')
		acme_order_ask(o, url, NULL, on_list);
	else
		acme_order_answer(o, ISSUER_NO_ORDER,
		    "the CA lists no orders, and one whose URL was lost "
		    "becomes no certificate",
		    0);
}

rc
acme_look_up(void *order, issuer_answer_fn *done, void *arg)
{
	struct acme_order *o = order;

	acme_order_begin(o, ACME_ASK_MS, done, arg);
	o->at = o->nlisted = 0;
	acme_order_ask(o, NULL, NULL, on_account);
	return RC_OK;
}
