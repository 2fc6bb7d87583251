#include "worker/issuers/acme_order.h"

#include <string.h>

#include "common/json/json.h"
#include "common/log/log.h"
#include "worker/issuers/acme_text.h"

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
