/*
 * An order whose answer was lost is looked for among the certificates of its
 * end entity: EJBCA keeps no reference of ours, so ours is that of the
 * request's key.  A search that finds too many is made for a shorter time, and
 * then for what is behind that.
 */
#include <cjson/cJSON.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/json/json.h"
#include "common/pki/cert/certpile.h"
#include "worker/issuers/ejbca_order.h"

/* By its date of issue EJBCA means the certificate's notBefore, which profiles
 * set back, by ten minutes where nobody says otherwise: so far from the time of
 * an order that of its certificate may be. */
#define AROUND_S 3600
#define FOUND_MAX 100 /* certificates that a search gives */

static void
write_criterion(struct json_w *w, const char *property, const char *value,
    const char *operation)
{
	json_w_open(w, '{');
	json_w_kv(w, "property", property);
	json_w_kv(w, "value", value);
	json_w_kv(w, "operation", operation);
	json_w_close(w, '}');
}

static void
write_moment(struct json_w *w, int64_t unix_s, const char *operation)
{
	time_t at = (time_t)unix_s;
	char date[32];
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	write_criterion(w, "ISSUED_DATE", date, operation);
}

/* What was issued in the window, whose bounds are no part of it. */
static const char *
write_search(struct ejbca_order *o)
{
	const struct search_window *in = &o->window;
	struct rest_body body;
	struct json_w *w = rest_body_start(&body);

	json_w_kv_int(w, "max_number_of_results", FOUND_MAX);
	json_w_key(w, "criteria");
	json_w_open(w, '[');
	write_criterion(w, "QUERY", ejbca_username(o), "EQUAL");
	write_moment(w, in->from_unix - 1, "AFTER");
	if (in->len_s > 0)
		write_moment(w, in->from_unix + in->len_s, "BEFORE");
	json_w_close(w, ']');
	return rest_body_end(&body, o->rest.a);
}

static issuer_reply_fn on_found;

static void
search(void *arg)
{
	struct ejbca_order *o = arg;

	rest_next(&o->rest, "POST", "/certificate/search", write_search(o),
	    on_found);
}

/* Ours, in the answer to a search, NULL: none of it is. */
static const struct cJSON *
find_ours(struct ejbca_order *o, const struct cJSON *all)
{
	const struct cJSON *item;

	cJSON_ArrayForEach(item, all)
	{
		const char *pem = ejbca_certificate_in(o->rest.replies, item);

		if (pem && certpile_is_of_key(o->rest.order->csr->spki, pem,
			       strlen(pem)))
			return item;
	}
	return NULL;
}

static void
on_found(void *arg, const struct issuer_reply *r)
{
	struct ejbca_order *o = arg;
	const struct cJSON *all = json_get(r->json, "certificates"), *ours;
	int64_t soon_unix = clock_wall_us() / 1000000 + AROUND_S;
	bool is_more = false;

	if (!rest_is_good(r) || !cJSON_IsArray(all)) {
		rest_answer_reply(&o->rest, ISSUER_RETRY, r);
		return;
	}
	ours = find_ours(o, all);
	if (ours) {
		ejbca_judge(o, ours);
		return;
	}
	if (json_bool(r->json, "more_results", &is_more) == RC_OK && is_more) {
		if (!search_window_halve(&o->window, soon_unix)) {
			rest_answer(&o->rest, ISSUER_RETRY,
			    "it issued more to this end entity within one "
			    "second than a search gives",
			    0);
			return;
		}
	} else if (!search_window_next(&o->window, soon_unix)) {
		rest_answer(&o->rest, ISSUER_NO_ORDER,
		    "none of its certificates has our request's key", 0);
		return;
	}
	if (rest_round_is_over(&o->rest, (size_t)cJSON_GetArraySize(all)))
		rest_round_end(&o->rest);
	else
		search(o);
}

rc
ejbca_look_up(void *order, issuer_answer_fn *done, void *arg)
{
	struct ejbca_order *o = order;

	rest_rounds_begin(&o->rest, search, done, arg);
	o->later = ISSUER_RETRY;
	o->window = (struct search_window){
	    .from_unix = o->rest.order->placed_unix - AROUND_S,
	};
	return rest_call(&o->rest, "POST", "/certificate/search",
	    write_search(o), on_found);
}
