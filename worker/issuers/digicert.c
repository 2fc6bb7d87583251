/*
 * The issuer of type DigiCert: CertCentral's Services API, version 2.
 *
 * An order is placed by a POST and answered with its id; DigiCert then works on
 * it (validation of domains and organisation, approval), and says by its status
 * when there is a certificate, which is fetched by an id of its own.
 *
 * The API keeps no reference of ours by which an order could be found again.
 * What it keeps is the request, and the key of that is the job's alone: a
 * look-up lists the orders of the common name, down to those that are older,
 * and compares.
 */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/base/clock.h"
#include "common/json/json.h"
#include "worker/issuers/rest_ca.h"

#define DAY_S 86400
#define LOOK_UP_PAGE 100
/* Nothing that was ordered so long before an order is it: clocks. */
#define BEFORE_S 3600
#define PAGE 500         /* entries of a list; the API has 1000 at most */
#define DAYS_DEFAULT 199 /* the longest that public CAs may issue */

static const char *const own_urls[] = {
    "https://www.digicert.com/services/v2",
    "https://certcentral.digicert.eu/services/v2",
    NULL,
};

static const struct rest_word statuses[] = {
    {"issued", ISSUER_ISSUED},
    {"rejected", ISSUER_REFUSED},
    {"denied", ISSUER_REFUSED},
    {"canceled", ISSUER_REFUSED},
    {"expired", ISSUER_REFUSED},
    {"revoked", ISSUER_REFUSED},
    {0},
};

struct order { /* in the arena */
	struct rest_order rest;
	struct http_header headers[2];
	const char *product;
	int64_t org_id;
};

/* --- configuration --- */

static bool
is_number(const char *s)
{
	size_t len = strlen(s);

	return len >= 1 && len <= 15 && strspn(s, "0123456789") == len;
}

static bool
is_product(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len <= 64 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

static void
configure(void *order, struct issuer_config *c)
{
	struct order *o = order;
	const char *org = "", *key = "";

	o->product = "ssl_basic";
	issuer_config_text(c, "product_type", &o->product);
	issuer_config_text(c, "org_id", &org);
	issuer_config_refuse_if(c, !is_number(org), "org_id is not a number");
	issuer_config_refuse_if(c, !is_product(o->product),
	    "product_type is no product's name, as ssl_basic is");
	issuer_config_secret(c, "api_key", &key);
	o->org_id = strtoll(org, NULL, 10);
	o->headers[0] = (struct http_header){"X-DC-DEVKEY", key};
	o->rest.headers = o->headers;
}

/* --- what became of an order --- */

static void
on_download(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (rest_is_good(r))
		rest_issued(&o->rest, r->text, r->len);
	else /* It is issued, so it will be there: not yet is no refusal. */
		rest_not_fetched(&o->rest,
		    r->code == RC_OK && r->status == 404 ? ISSUER_PENDING
							 : ISSUER_RETRY,
		    r);
}

static void
fetch(void *order, const struct cJSON *shown, const char *status)
{
	struct order *o = order;
	const char *certificate =
	    rest_id(&o->rest, json_get(shown, "certificate"), "id");

	if (!certificate) {
		rest_answer(&o->rest, ISSUER_PENDING, status, 0);
		return;
	}
	o->rest.certificate_id = certificate;
	rest_get(&o->rest,
	    arena_printf(o->rest.a,
		"/certificate/%s/download/format/pem_noroot", certificate),
	    on_download);
}

static const char *
order_path(void *order)
{
	struct order *o = order;

	return arena_printf(o->rest.a, "/order/certificate/%s",
	    o->rest.order_id);
}

/* --- placing --- */

static void
write_certificate(struct json_w *w, const struct issuer_order *o)
{
	const struct csr *c = o->csr;

	json_w_key(w, "certificate");
	json_w_open(w, '{');
	json_w_kv(w, "common_name", rest_common_name(o));
	json_w_kv(w, "csr", o->csr_pem);
	json_w_key(w, "dns_names");
	json_w_open(w, '[');
	for (size_t i = 0; i < c->nnames; i++)
		json_w_str(w, c->names[i].text);
	json_w_close(w, ']');
	json_w_kv(w, "signature_hash", "sha256");
	json_w_key(w, "server_platform");
	json_w_open(w, '{');
	json_w_kv_int(w, "id", -1);
	json_w_close(w, '}');
	json_w_close(w, '}');
}

/* Whole days, rounded down: a certificate may not live longer than its profile
 * says, and would be refused. */
static int64_t
days_of(const struct issuer_order *o)
{
	int64_t days = o->max_ttl_s / DAY_S;

	if (o->max_ttl_s == 0 || days > DAYS_DEFAULT)
		return DAYS_DEFAULT;
	return days < 1 ? 1 : days;
}

static const char *
write_order(struct order *o)
{
	struct rest_body body;
	struct json_w *w = rest_body_start(&body);

	write_certificate(w, o->rest.order);
	json_w_key(w, "organization");
	json_w_open(w, '{');
	json_w_kv_int(w, "id", o->org_id);
	json_w_close(w, '}');
	json_w_key(w, "order_validity");
	json_w_open(w, '{');
	json_w_kv_int(w, "days", days_of(o->rest.order));
	json_w_close(w, '}');
	json_w_kv_bool(w, "skip_approval", true);
	json_w_kv_bool(w, "disable_renewal_notifications", true);
	json_w_kv(w, "comments", rest_comment(&o->rest));
	return rest_body_end(&body, o->rest.a);
}

/* The chain that an order issued at once brings along; NULL: it has none. */
static const char *
inline_chain(struct order *o, const struct cJSON *json)
{
	const struct cJSON *chain = json_get(json, "certificate_chain"), *item;
	const char *pem;

	cJSON_ArrayForEach(item, chain)
	{
		if (json_str(item, "pem", REST_REPLY_MAX, &pem) != RC_OK)
			return NULL;
	}
	return cJSON_GetArraySize(chain) > 0
		   ? rest_pems(&o->rest, "", chain, "pem")
		   : NULL;
}

static void
accepted(struct order *o, const struct cJSON *json)
{
	const struct cJSON *requests = json_get(json, "requests");
	const char *status = "pending", *certificate, *chain;
	rc ret;

	certificate = rest_id(&o->rest, json, "certificate_id");
	chain = certificate ? inline_chain(o, json) : NULL;
	if (chain) {
		o->rest.certificate_id = certificate;
		rest_issued(&o->rest, chain, strlen(chain));
		return;
	}
	ret = json_str(cJSON_GetArrayItem(requests, 0), "status", REST_TEXT_MAX,
	    &status);
	rest_answer(&o->rest, ISSUER_PENDING, ret == RC_OK ? status : "pending",
	    0);
}

static void
on_placed(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (!rest_is_good(r)) {
		rest_judge_order(&o->rest, r);
		return;
	}
	o->rest.order_id = r->json ? rest_id(&o->rest, r->json, "id") : NULL;
	if (o->rest.order_id)
		accepted(o, r->json);
	else
		rest_answer(&o->rest, ISSUER_UNSURE,
		    "the answer to the order does not say its id", 0);
}

static rc
digicert_place(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	rest_begin(&o->rest, NULL, done, arg);
	return rest_call(&o->rest, "POST",
	    arena_printf(o->rest.a, "/order/certificate/%s", o->product),
	    write_order(o), on_placed);
}

/* --- looking up --- */

static bool
is_ours(void *order, const struct cJSON *shown)
{
	struct order *o = order;
	const char *csr = "";

	return json_str(json_get(shown, "certificate"), "csr", REST_REPLY_MAX,
		   &csr) == RC_OK &&
	       rest_is_same_pem(csr, o->rest.order->csr_pem);
}

static bool
is_before_ours(const struct order *o, const struct cJSON *shown)
{
	const char *date = "";
	int64_t created;

	return json_str(shown, "date_created", REST_TEXT_MAX, &date) == RC_OK &&
	       clock_parse_rfc3339(date, &created) == RC_OK &&
	       created < o->rest.order->placed_unix - BEFORE_S;
}

/* The newest are first.  A list of nothing may have no member at all. */
static int64_t
list(void *order, const struct cJSON *json)
{
	struct order *o = order;
	const struct cJSON *item;
	int64_t n = 0;

	if (!cJSON_IsObject(json))
		return -1;
	cJSON_ArrayForEach(item, json_get(json, "orders"))
	{
		if (is_before_ours(o, item))
			break;
		rest_list_add(&o->rest, rest_id(&o->rest, item, "id"));
		n++;
	}
	return n;
}

static const char *
list_path(void *order, size_t from)
{
	struct order *o = order;

	return arena_printf(o->rest.a,
	    "/order/certificate?filters%%5Bcommon_name%%5D=%s&sort=-date_"
	    "created&limit=%d&offset=%zu",
	    rest_url_text(o->rest.a, rest_common_name(o->rest.order)),
	    LOOK_UP_PAGE, from);
}

/* --- many orders --- */

/* The list has the status of each, so what it does not show is known to have
 * another one, or not to be there.  There is also a list of what has changed
 * (status-changes), whose silence about an order says neither. */
static const char *
page_path(void *order, const struct rest_page *page)
{
	struct order *o = order;

	if (page->list > 0)
		return NULL;
	return arena_printf(o->rest.a,
	    "/order/certificate?filters%%5Bstatus%%5D=pending&sort=-date_"
	    "created&limit=%d&offset=%zu",
	    PAGE, page->from);
}

static int64_t
page(void *order, const struct cJSON *json)
{
	struct order *o = order;
	const struct cJSON *orders = json_get(json, "orders"), *shown;
	const char *status;
	int64_t n = 0;

	if (!cJSON_IsArray(orders))
		return -1;
	cJSON_ArrayForEach(shown, orders)
	{
		n++;
		status = "";
		if (json_str(shown, "status", REST_TEXT_MAX, &status) ==
			RC_OK &&
		    rest_verdict(statuses, status) == ISSUER_PENDING)
			rest_is_pending(&o->rest,
			    rest_id(&o->rest, shown, "id"));
	}
	return n;
}

/* --- cancelling --- */

static void
on_cancelled(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (rest_is_good(r))
		rest_answer(&o->rest, ISSUER_REFUSED, "canceled", 0);
	else if (issuer_http_judge_order(r) == ISSUER_REFUSED &&
		 r->status != 404)
		/* Too late, perhaps: what is it now? */
		rest_get(&o->rest, order_path(o), rest_on_order);
	else
		rest_judge_question(&o->rest, r);
}

static rc
digicert_cancel(void *order, const char *order_id, issuer_answer_fn *done,
    void *arg)
{
	struct order *o = order;

	rest_begin(&o->rest, order_id, done, arg);
	return rest_call(&o->rest, "PUT",
	    arena_printf(o->rest.a, "/order/certificate/%s/status", order_id),
	    "{\"status\":\"CANCELED\",\"note\":\"cancelled in certctl\"}",
	    on_cancelled);
}

/* --- revoking --- */

/* What DigiCert calls the reasons of RFC 5280; of the others it knows none, and
 * is told no reason. */
static const char *
reason_of(int code)
{
	switch (code) {
	case 1:
		return "key_compromise";
	case 3:
		return "affiliation_changed";
	case 4:
		return "superseded";
	case 5:
		return "cessation_of_operation";
	default:
		return "unspecified";
	}
}

/* What DigiCert shows of a revoked certificate: its order may stay active. */
static bool
is_revoked(const struct cJSON *order)
{
	const struct cJSON *const shown[] = {order,
	    json_get(order, "certificate")};
	const char *status = "";

	for (size_t i = 0; i < ARRAY_LEN(shown); i++)
		if (json_str(shown[i], "status", REST_TEXT_MAX, &status) ==
			RC_OK &&
		    strcmp(status, "revoked") == 0)
			return true;
	return false;
}

/* Approved at once there is no answer but the status 204. */
static void
accepted_revocation(struct order *o, const struct issuer_reply *r)
{
	const char *status = "approved";
	rc ret;

	ret = json_str(r->json, "status", REST_TEXT_MAX, &status);
	if (ret == RC_OK && strcmp(status, "approved") != 0)
		rest_answer(&o->rest, ISSUER_PENDING, "its approval is awaited",
		    0);
	else
		rest_answer(&o->rest, ISSUER_DONE, "", 0);
}

static void
on_revoked(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (rest_is_good(r))
		accepted_revocation(o, r);
	else /* Revoked before, perhaps: what is it now? */
		rest_on_revoked(o, r);
}

static const char *
write_revocation(struct order *o, const struct issuer_revocation *what)
{
	struct rest_body body;
	struct json_w *w = rest_body_start(&body);

	json_w_kv(w, "revocation_reason", reason_of(what->reason_code));
	json_w_kv(w, "comments", "revoked in certctl");
	json_w_kv_bool(w, "skip_approval", true);
	return rest_body_end(&body, o->rest.a);
}

static rc
digicert_revoke(void *order, const struct issuer_revocation *what,
    issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	rest_begin(&o->rest, what->order_id, done, arg);
	rest_look_at(&o->rest, what->order_id[0] ? order_path(o) : NULL);
	/* A second request would ask for a second approval. */
	if (what->was_pending && o->rest.order_id[0] != '\0')
		return rest_call(&o->rest, "GET", order_path(o), NULL,
		    rest_on_shown);
	/* DigiCert takes the serial number in place of its own. */
	return rest_call(&o->rest, "PUT",
	    arena_printf(o->rest.a, "/certificate/%s/revoke",
		what->certificate_id[0] ? what->certificate_id : what->serial),
	    write_revocation(o, what), on_revoked);
}

/* --- testing --- */

static const char *
test_path(void *order)
{
	return "/user/me";
}

static const struct rest_ca digicert = {
    .size = sizeof(struct order),
    .calls = 1,
    .url_key = "base_url",
    .own_urls = own_urls,
    .configure = configure,
    .order_path = order_path,
    .judge = rest_judge_status,
    .statuses = statuses,
    .fetch = fetch,
    .list_size = LOOK_UP_PAGE,
    .list_path = list_path,
    .list = list,
    .candidates = "/order/certificate/",
    .is_ours = is_ours,
    .page_size = PAGE,
    .page_path = page_path,
    .page = page,
    .is_revoked = is_revoked,
    .test_path = test_path,
};

const struct issuer_ops issuer_digicert = {
    .type = "DigiCert",
    .rest = &digicert,
    .open = rest_open,
    .limit_ms = rest_limit_ms,
    .can_look_up = rest_can_look_up,
    .place = digicert_place,
    .look_up = rest_look_up,
    .look_through = rest_look_through,
    .poll = rest_poll,
    .list = rest_list,
    .cancel = digicert_cancel,
    .revoke = digicert_revoke,
    .validate = rest_validate,
};
