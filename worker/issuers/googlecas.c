/*
 * The issuer of type GoogleCAS: Google Cloud Certificate Authority Service,
 * version 1 of its API.
 *
 * It issues while it is asked.  The certificate's id is our reference, so an
 * order is looked up by that, and one that is placed again finds the id taken.
 * A pool of the tier DevOps keeps no certificates: nothing that it may have
 * issued can be found, and it is not ordered again blindly.
 *
 * Each call carries an access token (google_auth.h).
 *
 * https://cloud.google.com/certificate-authority-service/docs/reference/rest
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/json/json.h"
#include "worker/issuers/google_auth.h"
#include "worker/issuers/rest_ca.h"

#define ID_MAX 63
#define ID_CHARS \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

static const char *const own_urls[] = {
    "https://privateca.googleapis.com",
    "https://privateca.googleapis.com/v1",
    NULL,
};
static const char *const own_token_urls[] = {
    "https://oauth2.googleapis.com/token",
    NULL,
};

struct order { /* in the arena */
	struct rest_order rest;
	struct google_account account;
	const char *pool; /* its path */
	int64_t ttl_s;
};

/* --- configuration --- */

static const char *
pool_path(struct arena *a, const char *project, const char *location,
    const char *pool)
{
	return arena_printf(a, "/projects/%s/locations/%s/caPools/%s",
	    rest_url_text(a, project), rest_url_text(a, location),
	    rest_url_text(a, pool));
}

static void
configure(void *order, struct issuer_config *c)
{
	struct order *o = order;
	const char *project = "", *location = "", *pool = "", *ttl = "8760h";
	const char *credentials = "", *token_url = "", *why = "";
	int64_t ttl_ms = 0;
	rc ret = RC_OK;

	issuer_config_text(c, "project", &project);
	issuer_config_text(c, "location", &location);
	issuer_config_text(c, "ca_pool", &pool);
	issuer_config_text(c, "ttl", &ttl);
	issuer_config_url(c, "token_url", own_token_urls, &token_url);
	issuer_config_document(c, "credentials", &credentials);
	issuer_config_refuse_if(c,
	    enc_parse_duration_ms(ttl, &ttl_ms) != RC_OK || ttl_ms < 1000,
	    "ttl is no duration, like 8760h");
	o->ttl_s = ttl_ms / 1000;
	o->pool = pool_path(o->rest.a, project, location, pool);
	if (c->code == RC_OK)
		ret = google_account_read(o->rest.a, credentials, token_url,
		    &o->account, &why);
	issuer_config_refuse_if(c, ret != RC_OK, why);
}

/* --- signing in --- */

static rc
sign_in(void *order, issuer_reply_fn *next)
{
	struct order *o = order;

	return google_token_ask(o->rest.env, o->rest.a, &o->account,
	    clock_wall_us() / 1000000, next, o);
}

static const char *
token(void *order, const struct cJSON *json, int64_t *out_s)
{
	return google_token_read(json, out_s);
}

static const char *
token_key(void *order)
{
	return ((struct order *)order)->account.memory_key;
}

/* --- certificates --- */

static const char *
reference_hash(struct order *o)
{
	const char *reference = o->rest.order->reference;
	char hex[65];

	enc_sha256_hex(reference, strlen(reference), hex);
	return arena_strdup(o->rest.a, hex);
}

/* Our reference, where it is fit for one. */
static const char *
certificate_id(struct order *o)
{
	const char *reference = o->rest.order->reference;

	if (strlen(reference) <= ID_MAX &&
	    reference[strspn(reference, ID_CHARS)] == '\0')
		return reference;
	return arena_strndup(o->rest.a, reference_hash(o), ID_MAX);
}

/* A UUID of our own making, version 8 (RFC 9562 section 5.8), of it. */
static const char *
request_id(struct order *o)
{
	const char *hex = reference_hash(o);

	return arena_printf(o->rest.a, "%.8s-%.4s-8%.3s-8%.3s-%.12s", hex,
	    hex + 8, hex + 12, hex + 15, hex + 18);
}

static const char *
by_reference(struct order *o)
{
	return arena_printf(o->rest.a, "%s/certificates/%s", o->pool,
	    certificate_id(o));
}

static bool
is_revoked(const struct cJSON *shown)
{
	return cJSON_IsObject(json_get(shown, "revocationDetails"));
}

static void
judge(void *order, const struct cJSON *shown)
{
	struct order *o = order;
	const char *text = "", *name = "";
	rc ret;

	ret = json_str(shown, "pemCertificate", REST_REPLY_MAX, &text);
	if (ret != RC_OK || is_revoked(shown)) {
		rest_answer(&o->rest, ISSUER_REFUSED, "it is revoked", 0);
		return;
	}
	text = rest_pems(&o->rest, text, json_get(shown, "pemCertificateChain"),
	    NULL);
	if (json_str(shown, "name", ISSUER_ORDER_ID_MAX, &name) == RC_OK)
		o->rest.certificate_id = name;
	rest_issued(&o->rest, text, strlen(text));
}

static bool
has_certificate(const struct issuer_reply *r)
{
	const char *pem = "";
	rc ret;

	ret = json_str(r->json, "pemCertificate", REST_REPLY_MAX, &pem);
	return rest_is_good(r) && ret == RC_OK && pem[0] != '\0';
}

/* --- placing --- */

static void
on_taken(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (has_certificate(r))
		judge(o, r->json);
	else
		rest_answer_reply(&o->rest, ISSUER_UNSURE, r);
}

static void
on_placed(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (has_certificate(r))
		judge(o, r->json);
	else if (rest_is_good(r))
		rest_answer(&o->rest, ISSUER_UNSURE,
		    "the answer to the order has no certificate", 0);
	else if (r->code == RC_OK && r->status == 409)
		rest_get(&o->rest, by_reference(o), on_taken);
	else
		rest_judge_order(&o->rest, r);
}

static rc
googlecas_place(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;
	int64_t ttl = o->rest.order->max_ttl_s;
	struct rest_body body;
	struct json_w *w = rest_body_start(&body);

	if (ttl == 0 || ttl > o->ttl_s)
		ttl = o->ttl_s;
	json_w_kv(w, "pemCsr", o->rest.order->csr_pem);
	json_w_kv(w, "lifetime", arena_printf(o->rest.a, "%" PRId64 "s", ttl));
	rest_begin(&o->rest, NULL, done, arg);
	return rest_call(&o->rest, "POST",
	    arena_printf(o->rest.a,
		"%s/certificates?certificateId=%s&requestId=%s", o->pool,
		certificate_id(o), request_id(o)),
	    rest_body_end(&body, o->rest.a), on_placed);
}

/* --- looking up --- */

static bool
keeps_certificates(const struct issuer_reply *r)
{
	const char *tier = "";
	rc ret;

	ret = json_str(r->json, "tier", REST_TEXT_MAX, &tier);
	return rest_is_good(r) && ret == RC_OK &&
	       strcmp(tier, "ENTERPRISE") == 0;
}

static void
on_pool_of_none(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (keeps_certificates(r))
		rest_answer(&o->rest, ISSUER_NO_ORDER, "it has no such", 0);
	else if (rest_is_good(r))
		rest_answer(&o->rest, ISSUER_RETRY,
		    "its pool is not of the tier ENTERPRISE: it keeps no "
		    "certificates",
		    0);
	else
		rest_answer_reply(&o->rest, ISSUER_RETRY, r);
}

static void
on_looked(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (r->code == RC_OK && r->status == 404)
		rest_get(&o->rest, o->pool, on_pool_of_none);
	else if (has_certificate(r))
		judge(o, r->json);
	else
		rest_answer_reply(&o->rest, ISSUER_RETRY, r);
}

static rc
googlecas_look_up(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	rest_begin(&o->rest, NULL, done, arg);
	return rest_call(&o->rest, "GET", by_reference(o), NULL, on_looked);
}

/* --- revoking --- */

static const char *
reason_of(int code)
{
	switch (code) {
	case 1:
		return "KEY_COMPROMISE";
	case 2:
		return "CERTIFICATE_AUTHORITY_COMPROMISE";
	case 3:
		return "AFFILIATION_CHANGED";
	case 4:
		return "SUPERSEDED";
	case 5:
		return "CESSATION_OF_OPERATION";
	case 6:
		return "CERTIFICATE_HOLD";
	case 9:
		return "PRIVILEGE_WITHDRAWN";
	default:
		return "REVOCATION_REASON_UNSPECIFIED";
	}
}

static rc
googlecas_revoke(void *order, const struct issuer_revocation *what,
    issuer_answer_fn *done, void *arg)
{
	struct order *o = order;
	struct rest_body body;
	const char *path;

	rest_begin(&o->rest, what->order_id, done, arg);
	path = arena_printf(o->rest.a, "/%s", what->certificate_id);
	rest_look_at(&o->rest, path);
	json_w_kv(rest_body_start(&body), "reason",
	    reason_of(what->reason_code));
	return rest_call(&o->rest, "POST",
	    arena_printf(o->rest.a, "%s:revoke", path),
	    rest_body_end(&body, o->rest.a), rest_on_revoked);
}

/* --- testing --- */

static void
on_pool(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (!rest_is_good(r) || keeps_certificates(r))
		rest_judge_test(o, r);
	else
		rest_answer(&o->rest, ISSUER_REFUSED,
		    "the pool is not of the tier ENTERPRISE: it keeps no "
		    "certificates, which could be neither looked up nor "
		    "revoked",
		    0);
}

static const char *
test_path(void *order)
{
	return ((struct order *)order)->pool;
}

static const struct rest_ca googlecas = {
    .size = sizeof(struct order),
    .calls = 2, /* what has its id is looked at */
    .url_key = "base_url",
    .version = "/v1",
    .own_urls = own_urls,
    .configure = configure,
    .sign_in = sign_in,
    .token = token,
    .token_key = token_key,
    .is_revoked = is_revoked,
    .test_path = test_path,
    .on_tested = on_pool,
};

const struct issuer_ops issuer_googlecas = {
    .type = "GoogleCAS",
    .rest = &googlecas,
    .open = rest_open,
    .limit_ms = rest_limit_ms,
    .can_look_up = rest_can_look_up,
    .place = googlecas_place,
    .look_up = googlecas_look_up,
    .revoke = googlecas_revoke,
    .validate = rest_validate,
};
