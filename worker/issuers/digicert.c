/*
 * The issuer of type DigiCert: CertCentral's Services API, version 2.
 *
 * An order is placed by a POST and answered with its id; DigiCert then works on
 * it (validation of domains and organisation, approval), and says by its status
 * when there is a certificate, which is fetched by an id of its own.
 *
 * The API keeps no reference of ours by which an order could be found again.
 * What it keeps is the request, and the key of that is the job's alone: a
 * look-up lists the newest orders of the common name and compares.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/json/json.h"
#include "common/pki/cert/cert.h"
#include "worker/issuers/issuer.h"
#include "worker/issuers/issuer_http.h"

#define TEXT_MAX 255
#define REPLY_MAX ((size_t)1024 * 1024)
#define DAY_S 86400
#define DAYS_DEFAULT 199 /* the longest that public CAs may issue */
#define LISTED_MAX 10
#define ID_MAX INT64_C(9007199254740991)

static const char *const own_urls[] = {
    "https://www.digicert.com/services/v2",
    "https://certcentral.digicert.eu/services/v2",
    NULL,
};

struct config {
	const char *base_url, *product, *key;
	int64_t org_id;
};

struct order { /* in the arena */
	const struct issuer_env *env;
	const struct issuer_order *o; /* NULL: to revoke, or for a test */
	struct arena *a;
	struct config config;
	const char *order_id;       /* that is asked about */
	const char *certificate_id; /* of what was issued */
	int64_t listed[LISTED_MAX]; /* a look-up's candidates */
	size_t nlisted, at;
	const char *refusal; /* why it would not revoke */
	issuer_answer_fn *done;
	void *arg;
};

/* --- configuration --- */

static rc
read_org(struct arena *a, const char *text, int64_t *out, const char **out_why)
{
	size_t len = strlen(text);

	if (len < 1 || len > 15 || strspn(text, "0123456789") != len) {
		*out_why = arena_printf(a, "org_id is not a number");
		return RC_INVALID;
	}
	*out = strtoll(text, NULL, 10);
	return RC_OK;
}

static bool
is_product(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len <= 64 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

/* Of a key that is absent the value stays. */
static rc
read_text(const struct cJSON *object, const char *name, const char **out,
    const char **out_why)
{
	rc ret = json_str(object, name, TEXT_MAX, out);

	if (ret == RC_NOT_FOUND)
		return RC_OK;
	if (ret != RC_OK)
		*out_why = "a value of its configuration is no text, or is too "
			   "long";
	return ret;
}

static rc
read_config(const struct issuer_env *env, struct arena *a, const char *text,
    struct config *out, const char **out_why)
{
	struct config c = {.base_url = own_urls[0], .product = "ssl_basic"};
	const char *path = "", *org = "", *why;
	const struct cJSON *object;
	rc ret;

	ret = json_parse(a, text, strlen(text), &object, out_why);
	if (ret == RC_OK)
		ret = read_text(object, "base_url", &c.base_url, out_why);
	if (ret == RC_OK)
		ret = read_text(object, "product_type", &c.product, out_why);
	if (ret == RC_OK)
		ret = read_text(object, "org_id", &org, out_why);
	if (ret == RC_OK)
		ret = read_text(object, "api_key_path", &path, out_why);
	if (ret == RC_OK)
		ret = read_org(a, org, &c.org_id, out_why);
	if (ret != RC_OK)
		return RC_INVALID;
	if (!is_product(c.product)) {
		*out_why = "product_type is no product's name, as ssl_basic is";
		return RC_INVALID;
	}
	why = issuer_http_refuse_url(env, a, own_urls, c.base_url);
	if (why) {
		*out_why = why;
		return RC_IO; /* another host may allow it */
	}
	ret = issuer_http_secret(env, a, path, &c.key, out_why);
	if (ret != RC_OK)
		return ret;
	*out = c;
	return RC_OK;
}

static rc
digicert_check(const struct issuer_env *env, struct arena *a,
    const char *config, const char **out_why)
{
	struct config c;

	return read_config(env, a, config, &c, out_why);
}

static rc
digicert_open(const struct issuer_env *env, struct arena *a, const char *config,
    const struct issuer_order *order, void **out, const char **out_why)
{
	struct order *o = arena_alloc(a, sizeof(*o));
	rc ret;

	o->env = env;
	o->o = order;
	o->a = a;
	ret = read_config(env, a, config, &o->config, out_why);
	if (ret != RC_OK)
		return ret;
	*out = o;
	return RC_OK;
}

static int64_t
digicert_limit_ms(const void *order)
{
	return ISSUER_HTTP_MS;
}

static bool
digicert_can_look_up(const void *order)
{
	return true;
}

/* --- calls and answers --- */

static rc
call(struct order *o, const char *method, const char *path, const char *body,
    issuer_reply_fn *done)
{
	const struct http_header headers[] = {{"X-DC-DEVKEY", o->config.key},
	    {0}};
	struct http_request req = {
	    .method = method,
	    .url = arena_printf(o->a, "%s%s", o->config.base_url, path),
	    .body = body,
	    .body_len = body ? strlen(body) : 0,
	    .accept = "*/*", /* a certificate is no JSON */
	    .headers = headers,
	    .timeout_ms = ISSUER_HTTP_MS,
	    .max_reply = REPLY_MAX,
	};

	return issuer_http_start(o->env, o->a, &req, done, o);
}

static void
answer(struct order *o, enum issuer_verdict verdict, const char *words,
    int64_t retry_after_s)
{
	struct issuer_answer a = {
	    .verdict = verdict,
	    .words = words,
	    .order_id = o->order_id,
	    .retry_after_s = retry_after_s,
	};

	o->done(o->arg, &a);
}

/* A later call of the same question that could not even be started. */
static void
next_call(struct order *o, const char *path, issuer_reply_fn *done)
{
	if (call(o, "GET", path, NULL, done) != RC_OK)
		answer(o, ISSUER_RETRY, "the next call could not be made", 0);
}

static bool
is_good(const struct issuer_reply *r)
{
	return r->code == RC_OK && r->status >= 200 && r->status < 300;
}

static const char *
id_of(struct order *o, const struct cJSON *object, const char *name)
{
	int64_t id;

	if (json_int(object, name, 1, ID_MAX, &id) != RC_OK)
		return NULL;
	return arena_printf(o->a, "%" PRId64, id);
}

/* --- what became of an order --- */

static void
issued(struct order *o, const char *pem, size_t len)
{
	struct issuer_answer a = {
	    .verdict = ISSUER_ISSUED,
	    .pem = pem,
	    .len = len,
	    .words = "",
	    .order_id = o->order_id,
	    .certificate_id = o->certificate_id,
	};

	o->done(o->arg, &a);
}

static void
on_download(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (is_good(r)) {
		issued(o, r->text, r->len);
		return;
	}
	/* It is issued, so it will be there: not yet is no refusal. */
	answer(o,
	    r->code == RC_OK && r->status == 404 ? ISSUER_PENDING
						 : ISSUER_RETRY,
	    arena_printf(o->a, "issued, but not to be fetched yet: %s",
		r->words),
	    r->retry_after_s);
}

static bool
is_one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(word, *words) == 0)
			return true;
	return false;
}

/* By the order, as DigiCert shows it. */
static void
judge_status(struct order *o, const struct cJSON *json)
{
	static const char *const ended[] = {"rejected", "denied", "canceled",
	    "expired", "revoked", NULL};
	const char *status = "", *certificate;

	if (json_str(json, "status", TEXT_MAX, &status) != RC_OK) {
		answer(o, ISSUER_RETRY, "the answer has no status", 0);
		return;
	}
	if (is_one_of(status, ended)) {
		answer(o, ISSUER_REFUSED, status, 0);
		return;
	}
	certificate = id_of(o, json_get(json, "certificate"), "id");
	if (strcmp(status, "issued") != 0 || !certificate) {
		answer(o, ISSUER_PENDING, status, 0);
		return;
	}
	o->certificate_id = certificate;
	next_call(o,
	    arena_printf(o->a, "/certificate/%s/download/format/pem_noroot",
		certificate),
	    on_download);
}

static void
on_order(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (is_good(r) && r->json)
		judge_status(o, r->json);
	else if (is_good(r))
		answer(o, ISSUER_RETRY, "the answer is no JSON", 0);
	else
		answer(o, issuer_http_judge_question(r), r->words,
		    r->retry_after_s);
}

static const char *
order_path(struct order *o, const char *order_id)
{
	return arena_printf(o->a, "/order/certificate/%s", order_id);
}

static rc
digicert_poll(void *order, const char *order_id, issuer_answer_fn *done,
    void *arg)
{
	struct order *o = order;

	o->done = done;
	o->arg = arg;
	o->order_id = order_id;
	return call(o, "GET", order_path(o, order_id), NULL, on_order);
}

/* --- placing --- */

static void
write_certificate(struct json_w *w, const struct issuer_order *o)
{
	const struct csr *c = o->csr;

	json_w_key(w, "certificate");
	json_w_open(w, '{');
	json_w_kv(w, "common_name",
	    c->common_name ? c->common_name : c->names[0].text);
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
	const char *text;
	struct buf body;
	struct json_w w;

	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	write_certificate(&w, o->o);
	json_w_key(&w, "organization");
	json_w_open(&w, '{');
	json_w_kv_int(&w, "id", o->config.org_id);
	json_w_close(&w, '}');
	json_w_key(&w, "order_validity");
	json_w_open(&w, '{');
	json_w_kv_int(&w, "days", days_of(o->o));
	json_w_close(&w, '}');
	json_w_kv_bool(&w, "skip_approval", true);
	json_w_kv_bool(&w, "disable_renewal_notifications", true);
	json_w_kv(&w, "comments",
	    arena_printf(o->a, "certctl %s", o->o->reference));
	json_w_close(&w, '}');
	text = arena_strdup(o->a, buf_cstr(&body));
	buf_fini(&body);
	return text;
}

/* A root is nothing that a server sends along. */
static bool
is_root(const char *pem)
{
	X509 *x;
	bool is;
	rc ret;

	ret = cert_from_pem(pem, strlen(pem), &x);
	if (ret != RC_OK)
		return false; /* what it is, is judged later */
	is = X509_self_signed(x, 0) == 1;
	X509_free(x);
	return is;
}

/* The chain that an order issued at once brings along; NULL: it has none. */
static const char *
inline_chain(struct order *o, const struct cJSON *json)
{
	const struct cJSON *chain = json_get(json, "certificate_chain"), *item;
	const char *text = "", *pem;

	cJSON_ArrayForEach(item, chain)
	{
		if (json_str(item, "pem", REPLY_MAX, &pem) != RC_OK)
			return NULL;
		if (text[0] == '\0' || !is_root(pem))
			text = arena_printf(o->a, "%s%s\n", text, pem);
	}
	return text[0] != '\0' ? text : NULL;
}

static void
accepted(struct order *o, const struct cJSON *json)
{
	const char *certificate = id_of(o, json, "certificate_id"), *chain;
	const struct cJSON *requests = json_get(json, "requests");
	const char *status = "pending";
	rc ret;

	chain = certificate ? inline_chain(o, json) : NULL;
	if (chain) {
		o->certificate_id = certificate;
		issued(o, chain, strlen(chain));
		return;
	}
	ret = json_str(cJSON_GetArrayItem(requests, 0), "status", TEXT_MAX,
	    &status);
	answer(o, ISSUER_PENDING, ret == RC_OK ? status : "pending", 0);
}

static void
on_placed(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (!is_good(r)) {
		answer(o, issuer_http_judge_order(r), r->words,
		    r->retry_after_s);
		return;
	}
	o->order_id = r->json ? id_of(o, r->json, "id") : NULL;
	if (o->order_id)
		accepted(o, r->json);
	else
		answer(o, ISSUER_UNSURE,
		    "the answer to the order does not say its id", 0);
}

static rc
digicert_place(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	o->done = done;
	o->arg = arg;
	return call(o, "POST",
	    arena_printf(o->a, "/order/certificate/%s", o->config.product),
	    write_order(o), on_placed);
}

/* --- looking up --- */

static void look_at_next(struct order *o);

/* The same request, whatever its lines look like. */
static bool
is_same_csr(const char *a, const char *b)
{
	for (;;) {
		a += strspn(a, "\r\n\t ");
		b += strspn(b, "\r\n\t ");
		if (*a != *b)
			return false;
		if (*a == '\0')
			return true;
		a++;
		b++;
	}
}

static void
on_candidate(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;
	const char *csr = "";

	if (!is_good(r) || !r->json) {
		answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
		return;
	}
	if (json_str(json_get(r->json, "certificate"), "csr", REPLY_MAX,
		&csr) != RC_OK ||
	    !is_same_csr(csr, o->o->csr_pem)) {
		look_at_next(o);
		return;
	}
	o->order_id = id_of(o, r->json, "id");
	if (o->order_id)
		judge_status(o, r->json);
	else
		answer(o, ISSUER_RETRY, "the order found does not say its id",
		    0);
}

static void
look_at_next(struct order *o)
{
	if (o->at == o->nlisted) {
		answer(o, ISSUER_NO_ORDER, "none of its orders has our request",
		    0);
		return;
	}
	next_call(o,
	    arena_printf(o->a, "/order/certificate/%" PRId64,
		o->listed[o->at++]),
	    on_candidate);
}

static void
on_list(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;
	const struct cJSON *orders =
			       r->json ? json_get(r->json, "orders") : NULL,
			   *item;

	o->nlisted = o->at = 0;
	/* A list of nothing may have no member at all. */
	if (!is_good(r) || !cJSON_IsObject(r->json)) {
		answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
		return;
	}
	cJSON_ArrayForEach(item, orders)
	{
		if (o->nlisted < LISTED_MAX &&
		    json_int(item, "id", 1, ID_MAX, &o->listed[o->nlisted]) ==
			RC_OK)
			o->nlisted++;
	}
	look_at_next(o);
}

/* Percent-encoded, but for what a name is made of. */
static const char *
url_text(struct arena *a, const char *text)
{
	const char *out = "";

	for (; *text; text++)
		out = strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
			     "wxyz0123456789.-_",
			  *text)
			  ? arena_printf(a, "%s%c", out, *text)
			  : arena_printf(a, "%s%%%02X", out,
				(unsigned char)*text);
	return out;
}

static rc
digicert_look_up(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;
	const struct csr *c = o->o->csr;

	o->done = done;
	o->arg = arg;
	return call(o, "GET",
	    arena_printf(o->a,
		"/order/certificate?filters%%5Bcommon_name%%5D=%s&sort=-date_"
		"created&limit=%d",
		url_text(o->a,
		    c->common_name ? c->common_name : c->names[0].text),
		LISTED_MAX),
	    NULL, on_list);
}

/* --- cancelling --- */

static void
on_cancelled(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (is_good(r))
		answer(o, ISSUER_REFUSED, "canceled", 0);
	else if (issuer_http_judge_order(r) == ISSUER_REFUSED &&
		 r->status != 404)
		/* Too late, perhaps: what is it now? */
		next_call(o, order_path(o, o->order_id), on_order);
	else
		answer(o, issuer_http_judge_question(r), r->words,
		    r->retry_after_s);
}

static rc
digicert_cancel(void *order, const char *order_id, issuer_answer_fn *done,
    void *arg)
{
	struct order *o = order;

	o->done = done;
	o->arg = arg;
	o->order_id = order_id;
	return call(o, "PUT",
	    arena_printf(o->a, "/order/certificate/%s/status", order_id),
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
is_shown_revoked(const struct cJSON *order)
{
	const struct cJSON *const shown[] = {order,
	    json_get(order, "certificate")};
	const char *status = "";

	for (size_t i = 0; i < ARRAY_LEN(shown); i++)
		if (json_str(shown[i], "status", TEXT_MAX, &status) == RC_OK &&
		    strcmp(status, "revoked") == 0)
			return true;
	return false;
}

static void
on_revoked_order(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (!is_good(r))
		answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
	else if (is_shown_revoked(r->json))
		answer(o, ISSUER_DONE, "", 0);
	else if (o->refusal)
		answer(o, ISSUER_REFUSED, o->refusal, 0);
	else
		answer(o, ISSUER_PENDING, "its approval is awaited", 0);
}

/* Approved at once there is no answer but the status 204. */
static void
accepted_revocation(struct order *o, const struct issuer_reply *r)
{
	const char *status = "approved";
	rc ret;

	ret = json_str(r->json, "status", TEXT_MAX, &status);
	if (ret == RC_OK && strcmp(status, "approved") != 0)
		answer(o, ISSUER_PENDING, "its approval is awaited", 0);
	else
		answer(o, ISSUER_DONE, "", 0);
}

static void
on_revoked(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (is_good(r)) {
		accepted_revocation(o, r);
	} else if (issuer_http_judge_order(r) != ISSUER_REFUSED) {
		answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
	} else if (o->order_id[0] == '\0') {
		answer(o, ISSUER_REFUSED, r->words, 0);
	} else {
		/* Revoked before, perhaps: what is it now? */
		o->refusal = r->words;
		next_call(o, order_path(o, o->order_id), on_revoked_order);
	}
}

static const char *
write_revocation(struct order *o, const struct issuer_revocation *what)
{
	const char *text;
	struct buf body;
	struct json_w w;

	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_kv(&w, "revocation_reason", reason_of(what->reason_code));
	json_w_kv(&w, "comments", "revoked in certctl");
	json_w_kv_bool(&w, "skip_approval", true);
	json_w_close(&w, '}');
	text = arena_strdup(o->a, buf_cstr(&body));
	buf_fini(&body);
	return text;
}

static rc
digicert_revoke(void *order, const struct issuer_revocation *what,
    issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	o->done = done;
	o->arg = arg;
	o->order_id = what->order_id;
	/* A second request would ask for a second approval. */
	if (what->was_pending && o->order_id[0] != '\0')
		return call(o, "GET", order_path(o, o->order_id), NULL,
		    on_revoked_order);
	/* DigiCert takes the serial number in place of its own. */
	return call(o, "PUT",
	    arena_printf(o->a, "/certificate/%s/revoke",
		what->certificate_id[0] ? what->certificate_id : what->serial),
	    write_revocation(o, what), on_revoked);
}

/* --- testing --- */

static void
on_me(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (is_good(r))
		answer(o, ISSUER_DONE, "", 0);
	else if (r->code == RC_OK && r->status >= 400 && r->status < 500 &&
		 r->status != 408 && r->status != 429)
		answer(o, ISSUER_REFUSED, r->words, 0);
	else
		answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
}

static rc
digicert_validate(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	o->done = done;
	o->arg = arg;
	return call(o, "GET", "/user/me", NULL, on_me);
}

const struct issuer_ops issuer_digicert = {
    .type = "DigiCert",
    .check = digicert_check,
    .open = digicert_open,
    .limit_ms = digicert_limit_ms,
    .can_look_up = digicert_can_look_up,
    .place = digicert_place,
    .look_up = digicert_look_up,
    .poll = digicert_poll,
    .cancel = digicert_cancel,
    .revoke = digicert_revoke,
    .validate = digicert_validate,
};
