/*
 * The issuer of type Sectigo: Sectigo Certificate Manager's REST API for SSL
 * certificates.
 *
 * An order (an enrolment) is answered with its sslId.  Sectigo's words for what
 * becomes of it are many; when it is Issued the certificate is collected, which
 * may not be possible yet for a while, and that is an error by its form.
 *
 * What is found again of an order is its comment, which names our reference: a
 * look-up lists the orders of the common name and reads them, the newest first,
 * down to those of an earlier day.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/base/clock.h"
#include "common/json/json.h"
#include "worker/issuers/rest_ca.h"

#define DAY_S 86400
/* What was requested so long before an order is not it, nor what is older: days
 * of some time zone, and clocks. */
#define BEFORE_S (INT64_C(2) * DAY_S)
#define TERM_DEFAULT 365
#define LIST_MAX 200 /* entries of a list; the API has no more at once */
#define ID_MAX INT32_MAX

static const char *const own_urls[] = {
    "https://cert-manager.com/api",
    NULL,
};

static const struct rest_word statuses[] = {
    {"Issued", ISSUER_ISSUED},
    {"Declined", ISSUER_REFUSED},
    {"Invalid", ISSUER_REFUSED},
    {"Rejected", ISSUER_REFUSED},
    {"Revoked", ISSUER_REFUSED},
    {"Expired", ISSUER_REFUSED},
    {"Replaced", ISSUER_REFUSED},
    {"Not Enrolled", ISSUER_REFUSED},
    {0},
};

/* In which an order waits: the API lists those of one status, and does not say
 * it of each.  Orders of other words are asked for by themselves. */
static const char *const waiting[] = {"Applied", "Requested", "Approved"};

struct order { /* in the arena */
	struct rest_order rest;
	struct http_header headers[4];
	int64_t org_id, cert_type, term;
	/* that a look-up has found listed */
	int64_t *ids;
	size_t nids, ids_room;
};

/* --- configuration --- */

static void
configure(void *order, struct issuer_config *c)
{
	struct order *o = order;
	const char *customer = "", *login = "", *password = "";

	o->term = TERM_DEFAULT;
	issuer_config_text(c, "customer_uri", &customer);
	issuer_config_text(c, "login", &login);
	issuer_config_int(c, "org_id", &o->org_id);
	issuer_config_int(c, "cert_type", &o->cert_type);
	issuer_config_int(c, "term", &o->term);
	issuer_config_secret(c, "password", &password);
	o->headers[0] = (struct http_header){"customerUri", customer};
	o->headers[1] = (struct http_header){"login", login};
	o->headers[2] = (struct http_header){"password", password};
	o->rest.headers = o->headers;
}

/* --- what became of an order --- */

/* Of an error of a collection: it is issued, but still being made. */
static bool
is_not_ready(const struct issuer_reply *r)
{
	static const int64_t codes[] = {0, -183, -1400};
	int64_t code;

	if (r->code != RC_OK || r->status != 400 ||
	    json_int(r->json, "code", INT32_MIN, INT32_MAX, &code) != RC_OK)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (code == codes[i])
			return true;
	return false;
}

static void
on_collected(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (rest_is_good(r))
		rest_issued(&o->rest, r->text, r->len);
	else if (is_not_ready(r))
		rest_not_fetched(&o->rest, ISSUER_PENDING, r);
	else if (r->code == RC_OK && r->status == 400)
		rest_answer_reply(&o->rest, ISSUER_REFUSED, r);
	else
		rest_not_fetched(&o->rest, ISSUER_RETRY, r);
}

static void
fetch(void *order, const struct cJSON *shown, const char *status)
{
	struct order *o = order;

	rest_get(&o->rest,
	    arena_printf(o->rest.a, "/ssl/v1/collect/%s/pem", o->rest.order_id),
	    on_collected);
}

static const char *
details_path(void *order)
{
	struct order *o = order;

	return arena_printf(o->rest.a, "/ssl/v1/%s", o->rest.order_id);
}

/* --- placing --- */

static const char *
names_of(struct order *o)
{
	const struct csr *c = o->rest.order->csr;
	const char *text = "";

	for (size_t i = 0; i < c->nnames; i++)
		text = arena_printf(o->rest.a, "%s%s%s", text, i ? "," : "",
		    c->names[i].text);
	return text;
}

static const char *
write_order(struct order *o, int64_t term)
{
	struct rest_body body;
	struct json_w *w = rest_body_start(&body);

	json_w_kv_int(w, "orgId", o->org_id);
	json_w_kv_int(w, "certType", o->cert_type);
	json_w_kv_int(w, "term", term);
	json_w_kv(w, "csr", o->rest.order->csr_pem);
	json_w_kv(w, "subjAltNames", names_of(o));
	json_w_kv_int(w, "numberServers", 0);
	json_w_kv_int(w, "serverType", -1);
	json_w_kv(w, "comments", rest_comment(&o->rest));
	return rest_body_end(&body, o->rest.a);
}

static void
on_placed(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (!rest_is_good(r)) {
		rest_judge_order(&o->rest, r);
		return;
	}
	o->rest.order_id = r->json ? rest_id(&o->rest, r->json, "sslId") : NULL;
	if (o->rest.order_id)
		rest_answer(&o->rest, ISSUER_PENDING, "Requested", 0);
	else
		rest_answer(&o->rest, ISSUER_UNSURE,
		    "the answer to the order does not say its sslId", 0);
}

/* Days that a certificate may live, at most what its configuration says. */
static int64_t
days_of(const struct order *o)
{
	int64_t days = o->rest.order->max_ttl_s / DAY_S;

	return o->rest.order->max_ttl_s == 0 || days > o->term ? o->term : days;
}

/* The longest term that the type offers up to so many days; 0: none. */
static int64_t
best_term(const struct order *o, const struct cJSON *types, int64_t days)
{
	const struct cJSON *type, *term;
	int64_t id, n, best = 0;

	cJSON_ArrayForEach(type, types)
	{
		if (json_int(type, "id", 1, ID_MAX, &id) != RC_OK ||
		    id != o->cert_type)
			continue;
		cJSON_ArrayForEach(term, json_get(type, "terms"))
		{
			n = cJSON_IsNumber(term) ? term->valueint : 0;
			if (n > best && n <= days)
				best = n;
		}
	}
	return best;
}

static void
on_types(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;
	int64_t term;

	if (!rest_is_good(r) || !cJSON_IsArray(r->json)) {
		/* Nothing is ordered yet. */
		rest_answer_reply(&o->rest, ISSUER_RETRY, r);
		return;
	}
	term = best_term(o, r->json, days_of(o));
	if (term == 0)
		rest_answer(&o->rest, ISSUER_REFUSED,
		    arena_printf(o->rest.a,
			"certificate type %" PRId64 " has no term of %" PRId64
			" days or less, as the profile's max_ttl_seconds wants",
			o->cert_type, days_of(o)),
		    0);
	else
		rest_next(&o->rest, "POST", "/ssl/v1/enroll",
		    write_order(o, term), on_placed);
}

static rc
sectigo_place(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	rest_begin(&o->rest, NULL, done, arg);
	if (days_of(o) == o->term)
		return rest_call(&o->rest, "POST", "/ssl/v1/enroll",
		    write_order(o, o->term), on_placed);
	return rest_call(&o->rest, "GET", "/ssl/v1/types", NULL, on_types);
}

/* --- looking up --- */

static bool
is_ours(void *order, const struct cJSON *shown)
{
	struct order *o = order;
	const char *comments = "";

	return json_str(shown, "comments", REST_REPLY_MAX, &comments) ==
		   RC_OK &&
	       strcmp(comments, rest_comment(&o->rest)) == 0;
}

static int
newest_first(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x < y) - (x > y);
}

/* It says the day, MM/DD/YYYY, of some time zone. */
static bool
is_before(void *order, const struct cJSON *shown)
{
	struct order *o = order;
	const char *day = "";
	int64_t requested;

	if (json_str(shown, "requested", REST_TEXT_MAX, &day) != RC_OK ||
	    strlen(day) != strlen("MM/DD/YYYY"))
		return false;
	day = arena_printf(o->rest.a, "%.4s-%.2s-%.2sT00:00:00Z", day + 6, day,
	    day + 3);
	return clock_parse_rfc3339(day, &requested) == RC_OK &&
	       requested < o->rest.order->placed_unix - BEFORE_S;
}

static void
add_id(struct order *o, int64_t id)
{
	int64_t *more;

	if (o->nids == o->ids_room) {
		o->ids_room = o->ids_room > 0 ? 2 * o->ids_room : LIST_MAX;
		more = arena_alloc(o->rest.a, o->ids_room * sizeof(*more));
		if (o->nids > 0)
			memcpy(more, o->ids, o->nids * sizeof(*more));
		o->ids = more;
	}
	o->ids[o->nids++] = id;
}

/* The API lists them in no order that it promises: they are looked at when all
 * are known. */
static int64_t
list(void *order, const struct cJSON *json)
{
	struct order *o = order;
	const struct cJSON *item;
	int64_t n = 0, id;

	if (!cJSON_IsArray(json))
		return -1;
	cJSON_ArrayForEach(item, json)
	{
		n++;
		if (json_int(item, "sslId", 1, ID_MAX, &id) == RC_OK)
			add_id(o, id);
	}
	if (n >= LIST_MAX || o->nids == 0)
		return n;
	qsort(o->ids, o->nids, sizeof(o->ids[0]), newest_first);
	for (size_t i = 0; i < o->nids; i++)
		if (i == 0 || o->ids[i] != o->ids[i - 1])
			rest_list_add(&o->rest,
			    arena_printf(o->rest.a, "%" PRId64, o->ids[i]));
	return n;
}

static const char *
list_path(void *order, size_t from)
{
	struct order *o = order;

	if (from == 0)
		o->nids = 0;
	return arena_printf(o->rest.a,
	    "/ssl/v1?size=%d&position=%zu&commonName=%s", LIST_MAX, from,
	    rest_url_text(o->rest.a, rest_common_name(o->rest.order)));
}

/* --- many orders --- */

static const char *
page_path(void *order, const struct rest_page *page)
{
	struct order *o = order;

	if (page->list >= ARRAY_LEN(waiting))
		return NULL;
	return arena_printf(o->rest.a, "/ssl/v1?size=%d&position=%zu&status=%s",
	    LIST_MAX, page->from, waiting[page->list]);
}

static int64_t
page(void *order, const struct cJSON *json)
{
	struct order *o = order;
	const struct cJSON *shown;
	int64_t n = 0;

	if (!cJSON_IsArray(json))
		return -1;
	cJSON_ArrayForEach(shown, json)
	{
		n++;
		rest_is_pending(&o->rest, rest_id(&o->rest, shown, "sslId"));
	}
	return n;
}

/* --- cancelling --- */

static void
on_declined(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (rest_is_good(r))
		rest_answer(&o->rest, ISSUER_REFUSED, "Declined", 0);
	else if (r->code == RC_OK && r->status == 400)
		/* It waits for nobody's word any more: what is it now? */
		rest_get(&o->rest, details_path(o), rest_on_order);
	else
		rest_judge_question(&o->rest, r);
}

static rc
sectigo_cancel(void *order, const char *order_id, issuer_answer_fn *done,
    void *arg)
{
	struct order *o = order;

	rest_begin(&o->rest, order_id, done, arg);
	return rest_call(&o->rest, "POST",
	    arena_printf(o->rest.a, "/ssl/v1/decline/%s", order_id),
	    "{\"message\":\"cancelled in certctl\"}", on_declined);
}

/* --- revoking --- */

/* The reasons of RFC 5280 section 5.3.1 that Sectigo takes. */
static int
reason_of(int code)
{
	return code == 1 || (code >= 3 && code <= 5) ? code : 0;
}

static bool
is_revoked(const struct cJSON *shown)
{
	const char *status = "";
	rc ret;

	ret = json_str(shown, "status", REST_TEXT_MAX, &status);
	return ret == RC_OK && strcmp(status, "Revoked") == 0;
}

static rc
sectigo_revoke(void *order, const struct issuer_revocation *what,
    issuer_answer_fn *done, void *arg)
{
	struct order *o = order;
	const char *path;

	rest_begin(&o->rest, what->order_id, done, arg);
	rest_look_at(&o->rest, what->order_id[0] ? details_path(o) : NULL);
	path =
	    what->order_id[0]
		? arena_printf(o->rest.a, "/ssl/v1/revoke/%s", what->order_id)
		: arena_printf(o->rest.a, "/ssl/v1/revoke/serial/%s",
		      what->serial);
	return rest_call(&o->rest, "POST", path,
	    arena_printf(o->rest.a,
		"{\"reasonCode\":%d,\"reason\":\"revoked in certctl\"}",
		reason_of(what->reason_code)),
	    rest_on_revoked);
}

/* --- testing --- */

static void
on_tested(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (rest_is_good(r) && cJSON_IsArray(r->json) &&
	    best_term(o, r->json, o->term) != o->term)
		rest_answer(&o->rest, ISSUER_REFUSED,
		    arena_printf(o->rest.a,
			"certificate type %" PRId64 " is not offered with the "
			"term %" PRId64,
			o->cert_type, o->term),
		    0);
	else
		rest_judge_test(o, r);
}

static const char *
types_path(void *order)
{
	return "/ssl/v1/types";
}

static const struct rest_ca sectigo = {
    .size = sizeof(struct order),
    .calls = 2, /* the term may have to be looked for first */
    .url_key = "base_url",
    .own_urls = own_urls,
    .configure = configure,
    .order_path = details_path,
    .judge = rest_judge_status,
    .statuses = statuses,
    .fetch = fetch,
    .list_size = LIST_MAX,
    .list_path = list_path,
    .list = list,
    .candidates = "/ssl/v1/",
    .is_ours = is_ours,
    .is_before = is_before,
    .page_size = LIST_MAX,
    .page_path = page_path,
    .page = page,
    .is_revoked = is_revoked,
    .test_path = types_path,
    .on_tested = on_tested,
};

const struct issuer_ops issuer_sectigo = {
    .type = "Sectigo",
    .rest = &sectigo,
    .open = rest_open,
    .limit_ms = rest_limit_ms,
    .can_look_up = rest_can_look_up,
    .place = sectigo_place,
    .look_up = rest_look_up,
    .look_through = rest_look_through,
    .poll = rest_poll,
    .list = rest_list,
    .cancel = sectigo_cancel,
    .revoke = sectigo_revoke,
    .validate = rest_validate,
};
