#include "worker/issuers/acme_order.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "common/json/json.h"
#include "common/log/log.h"
#include "worker/issuers/acme_text.h"

#define LISTED_MAX 20 /* looked at, the newest first */

/* --- placing --- */

static const struct acme_request the_directory = {.is_directory = true};

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

static const char *
placed_words(const struct acme_order *o)
{
	if (!o->not_replaced)
		return "it has been placed";
	return arena_printf(o->a,
	    "it has been placed, without what it replaces, which the CA "
	    "refused: %s",
	    o->not_replaced);
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
			 * or that was replaced already (RFC 9773 section 5). */
			log_info("ACME-REPLACES",
			    "%s: ordered again without what it replaces: %s",
			    o->o->reference, r->words);
			o->has_replaces = false;
			o->not_replaced = r->words;
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
		acme_order_pending(o, placed_words(o), ACME_SOON_MS, 0);
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

static void
place(struct acme_order *o)
{
	struct acme_request req = {.resource = "newOrder"};
	const char *id = NULL;
	struct buf body;
	struct json_w w;

	if (o->has_replaces)
		id = acme_certid(o->a, o->o->previous_pem);
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
	const char *misfit;

	if (!r->is_good) {
		acme_order_answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
		return;
	}
	misfit = acme_order_misfit(o);
	if (!misfit) {
		/* Whether it may say what it renews, the directory says. */
		o->has_replaces = o->o->previous_pem[0] != '\0' &&
				  acme_client_has(o->client, "renewalInfo");
		place(o);
		return;
	}
	if (o->is_directory_new) {
		acme_order_answer(o, ISSUER_REFUSED, misfit, 0);
		return;
	}
	/* One that is remembered may be older than what the CA offers now. */
	o->is_directory_new = true;
	acme_client_forget_directory(o->client);
	acme_client_ask(o->client, &the_directory, on_known, o);
}

rc
acme_place(void *order, issuer_answer_fn *done, void *arg)
{
	struct acme_order *o = order;

	acme_order_begin(o, ACME_PLACE_MS, done, arg);
	acme_client_ask(o->client, &the_directory, on_known, o);
	return RC_OK;
}

/* --- looking up --- */

static void look_at_next(struct acme_order *o);

/* The i-th from the end, where CAs put what came last: an account may have had
 * more orders than can be looked at. */
static const char *
candidate(const struct acme_order *o, size_t i)
{
	return o->listed[o->nlisted - 1 - i];
}

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
		o->url = candidate(o, o->at - 1);
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
		acme_order_ask(o, candidate(o, o->at++), NULL, on_candidate);
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
