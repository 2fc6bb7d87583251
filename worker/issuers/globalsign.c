/*
 * The issuer of type GlobalSign: Atlas HVCA, version 2 of its API.
 *
 * It lets in by a login, by our certificate as a TLS client and a key with its
 * secret, which is good for some minutes.  An order says what the account's
 * validation policy leaves open, and is answered with the serial number that
 * its certificate will have: that is the order's id.
 *
 * The API keeps no reference of ours.  A look-up lists what was issued in the
 * minutes after the order, and looks for a certificate with the request's key
 * among those that are not known to be other orders'.
 */
#include <cjson/cJSON.h>
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/plain.h"
#include "common/json/json.h"
#include "common/pki/cert/certpile.h"
#include "worker/issuers/rest_ca.h"

#define SERVER_AUTH "1.3.6.1.5.5.7.3.1"
/* An order may not be known everywhere at once. */
#define GRACE_S 60
#define TOKEN_MAX 8000
/* Less than the ten minutes that a login is good for. */
#define TOKEN_S 480
/* What was issued so long before and after an order may be its certificate. */
#define BEFORE_S 120
#define AFTER_S 900
#define PAGE 100
#define SERIAL_MAX 64

static const char *const own_urls[] = {
    "https://emea.api.hvca.globalsign.com:8443",
    "https://emea.api.hvca.globalsign.com:8443/v2",
    NULL,
};

struct order { /* in the arena */
	struct rest_order rest;
	const char *key, *secret;
	const char *client; /* the path of our certificate */
	const char *leaf;   /* PEM, issued, while its chain is fetched */
};

/* --- configuration --- */

static void
configure(void *order, struct issuer_config *c)
{
	struct order *o = order;

	o->client = "";
	issuer_config_text(c, "client_cert_path", &o->client);
	issuer_config_secret(c, "api_key", &o->key);
	issuer_config_secret(c, "api_secret", &o->secret);
	issuer_config_pair(c, "client_cert_path", "client_key_path",
	    &o->rest.env);
}

/* --- signing in --- */

static rc
sign_in(void *order, issuer_reply_fn *next)
{
	struct order *o = order;
	struct rest_body body;
	struct json_w *w = rest_body_start(&body);

	json_w_kv(w, "api_key", o->key);
	json_w_kv(w, "api_secret", o->secret);
	return rest_send(&o->rest, "POST", "/login",
	    rest_body_end(&body, o->rest.a), next);
}

static const char *
token(void *order, const struct cJSON *json, int64_t *out_s)
{
	const char *text = "";
	rc ret;

	ret = json_str(json, "access_token", TOKEN_MAX, &text);
	if (ret != RC_OK || text[0] == '\0' || !plain_is_line(text))
		return NULL;
	*out_s = TOKEN_S;
	return text;
}

static const char *
token_key(void *order)
{
	struct order *o = order;

	return rest_token_key(&o->rest, o->secret,
	    arena_printf(o->rest.a, "%s %s", o->key, o->client));
}

/* --- what became of an order --- */

static void
on_trustchain(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;
	const char *text;

	if (!rest_is_good(r) || !cJSON_IsArray(r->json)) {
		rest_not_fetched(&o->rest, ISSUER_RETRY, r);
		return;
	}
	text = rest_pems(&o->rest, o->leaf, r->json, NULL);
	rest_issued(&o->rest, text, strlen(text));
}

static void
judge_certificate(void *order, const struct cJSON *shown)
{
	struct order *o = order;
	const char *status = "";
	rc ret;

	ret = json_str(shown, "status", REST_TEXT_MAX, &status);
	if (ret == RC_OK && strcmp(status, "REVOKED") == 0)
		rest_answer(&o->rest, ISSUER_REFUSED, status, 0);
	else if (json_str(shown, "certificate", REST_REPLY_MAX, &o->leaf) !=
		 RC_OK)
		rest_answer(&o->rest, ISSUER_RETRY,
		    "the answer has no certificate", 0);
	else
		rest_get(&o->rest, "/trustchain", on_trustchain);
}

static bool
is_fresh(const struct order *o)
{
	return clock_wall_us() / 1000000 - o->rest.order->placed_unix < GRACE_S;
}

static void
on_certificate(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (r->code == RC_OK &&
	    (r->status == 202 || (r->status == 404 && is_fresh(o))))
		rest_answer(&o->rest, ISSUER_PENDING,
		    arena_printf(o->rest.a, "HTTP %d", r->status),
		    r->retry_after_s);
	else
		rest_on_order(o, r);
}

static const char *
certificate_path(struct order *o)
{
	return arena_printf(o->rest.a, "/certificates/%s",
	    o->rest.certificate_id);
}

static const char *
order_path(void *order)
{
	struct order *o = order;

	o->rest.certificate_id = o->rest.order_id;
	return certificate_path(o);
}

/* --- placing --- */

static const struct cJSON *
member(const struct cJSON *policy, const char *group, const char *name)
{
	return json_get(json_get(policy, group), name);
}

/* What the policy sets itself, or forbids, must not be sent. */
static bool
is_open(const struct cJSON *rule)
{
	const char *presence = "";
	bool is_static = false;

	if (json_bool(rule, "static", &is_static) == RC_OK && is_static)
		return false;
	return json_str(rule, "presence", REST_TEXT_MAX, &presence) != RC_OK ||
	       strcmp(presence, "REQUIRED") == 0 ||
	       strcmp(presence, "OPTIONAL") == 0;
}

static void
write_names(struct json_w *w, const struct csr *csr, enum san_type type,
    const char *key, const struct cJSON *policy)
{
	bool is_any = false;

	for (size_t i = 0; i < csr->nnames; i++)
		is_any |= csr->names[i].type == type;
	if (!is_any || !is_open(member(policy, "san", key)))
		return;
	json_w_key(w, key);
	json_w_open(w, '[');
	for (size_t i = 0; i < csr->nnames; i++)
		if (csr->names[i].type == type)
			json_w_str(w, csr->names[i].text);
	json_w_close(w, ']');
}

/* Seconds; 0: as long as the policy allows. */
static int64_t
not_after(const struct order *o, const struct cJSON *policy, int64_t now)
{
	int64_t ttl = o->rest.order->max_ttl_s, most = 0;
	rc ret;

	ret = json_int(json_get(policy, "validity"), "secondsmax", 1, INT32_MAX,
	    &most);
	return ttl == 0 || (ret == RC_OK && ttl >= most) ? 0 : now + ttl;
}

static void
write_subject(struct json_w *w, const struct order *o,
    const struct cJSON *policy)
{
	const struct csr *csr = o->rest.order->csr;

	if (csr->leaf_common_name &&
	    is_open(member(policy, "subject_dn", "common_name"))) {
		json_w_key(w, "subject_dn");
		json_w_open(w, '{');
		json_w_kv(w, "common_name", csr->leaf_common_name);
		json_w_close(w, '}');
	}
	json_w_key(w, "san");
	json_w_open(w, '{');
	write_names(w, csr, SAN_DNS, "dns_names", policy);
	write_names(w, csr, SAN_IP, "ip_addresses", policy);
	write_names(w, csr, SAN_EMAIL, "emails", policy);
	write_names(w, csr, SAN_URI, "uris", policy);
	json_w_close(w, '}');
}

static void
write_usages(struct json_w *w, const struct cJSON *policy)
{
	const struct cJSON *ekus =
	    member(policy, "extended_key_usages", "ekus");
	int64_t least = 0;

	if (!is_open(ekus) ||
	    json_int(ekus, "mincount", 1, INT32_MAX, &least) != RC_OK)
		return;
	json_w_key(w, "extended_key_usages");
	json_w_open(w, '[');
	json_w_str(w, SERVER_AUTH);
	json_w_close(w, ']');
}

static const char *
write_order(struct order *o, const struct cJSON *policy)
{
	int64_t now = clock_wall_us() / 1000000;
	struct rest_body body;
	struct json_w *w = rest_body_start(&body);

	json_w_key(w, "validity");
	json_w_open(w, '{');
	json_w_kv_int(w, "not_before", now);
	json_w_kv_int(w, "not_after", not_after(o, policy, now));
	json_w_close(w, '}');
	write_subject(w, o, policy);
	write_usages(w, policy);
	json_w_kv(w, "public_key", o->rest.order->csr_pem);
	return rest_body_end(&body, o->rest.a);
}

static bool
is_serial(const char *text)
{
	size_t len = strspn(text, "0123456789ABCDEFabcdef");

	return len > 0 && len <= SERIAL_MAX && text[len] == '\0';
}

/* The serial number at the end of the new certificate's URL; NULL: none. */
static const char *
serial_in(const char *location)
{
	const char *slash = strrchr(location, '/');

	return slash && is_serial(slash + 1) ? slash + 1 : NULL;
}

static void
on_placed(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (!rest_is_good(r)) {
		rest_judge_order(&o->rest, r);
		return;
	}
	o->rest.order_id = serial_in(r->location);
	if (o->rest.order_id)
		rest_answer(&o->rest, ISSUER_PENDING, "ordered", 0);
	else
		rest_answer(&o->rest, ISSUER_UNSURE,
		    "the answer to the order does not say where its "
		    "certificate will be",
		    0);
}

static void
on_policy(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;
	const char *format = "";
	rc ret;

	if (!rest_is_good(r) || !cJSON_IsObject(r->json)) {
		rest_answer_reply(&o->rest, ISSUER_RETRY, r);
		return;
	}
	ret = json_str(json_get(r->json, "public_key"), "key_format",
	    REST_TEXT_MAX, &format);
	if (ret == RC_OK && strcmp(format, "PKCS10") != 0) {
		rest_answer(&o->rest, ISSUER_REFUSED,
		    arena_printf(o->rest.a,
			"the account's validation policy wants keys in the "
			"format %s: certctl has requests (PKCS10) only",
			format),
		    0);
		return;
	}
	rest_next(&o->rest, "POST", "/certificates", write_order(o, r->json),
	    on_placed);
}

static rc
globalsign_place(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	rest_begin(&o->rest, NULL, done, arg);
	return rest_call(&o->rest, "GET", "/validationpolicy", NULL, on_policy);
}

/* --- looking up --- */

static bool
is_ours(void *order, const struct cJSON *shown)
{
	struct order *o = order;
	const char *pem = "";
	rc ret;

	ret = json_str(shown, "certificate", REST_REPLY_MAX, &pem);
	if (ret != RC_OK ||
	    !certpile_is_of_key(o->rest.order->csr->spki, pem, strlen(pem)))
		return false;
	o->rest.certificate_id = o->rest.order_id;
	return true;
}

static int64_t
list(void *order, const struct cJSON *json)
{
	struct order *o = order;
	const struct cJSON *item;
	const char *serial = "";
	int64_t n = 0;

	if (!cJSON_IsArray(json))
		return -1;
	cJSON_ArrayForEach(item, json)
	{
		if (json_str(item, "serial_number", SERIAL_MAX, &serial) !=
			RC_OK ||
		    !is_serial(serial))
			return -1;
		rest_list_add(&o->rest, arena_strdup(o->rest.a, serial));
		n++;
	}
	return n;
}

static const char *
list_path(void *order, size_t from)
{
	struct order *o = order;
	int64_t placed = o->rest.order->placed_unix;

	return arena_printf(o->rest.a,
	    "/stats/issued?page=%zu&per_page=%d&from=%" PRId64 "&to=%" PRId64,
	    from / PAGE + 1, PAGE, placed - BEFORE_S, placed + AFTER_S);
}

/* --- revoking --- */

static const char *
reason_of(int code)
{
	switch (code) {
	case 1:
		return "keyCompromise";
	case 3:
		return "affiliationChanged";
	case 4:
		return "superseded";
	case 5:
		return "cessationOfOperation";
	case 9:
		return "privilegeWithdrawn";
	default:
		return "unspecified";
	}
}

/* In the CA's own case where it gave it, else in that which it writes. */
static const char *
serial_of(struct arena *a, const struct issuer_revocation *what)
{
	char *serial = arena_strdup(a, what->serial);

	if (what->certificate_id[0] != '\0')
		return what->certificate_id;
	for (char *c = serial; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	return serial;
}

static bool
is_revoked(const struct cJSON *shown)
{
	const char *status = "";
	rc ret;

	ret = json_str(shown, "status", REST_TEXT_MAX, &status);
	return ret == RC_OK && strcmp(status, "REVOKED") == 0;
}

static rc
globalsign_revoke(void *order, const struct issuer_revocation *what,
    issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	rest_begin(&o->rest, what->order_id, done, arg);
	o->rest.certificate_id = serial_of(o->rest.a, what);
	rest_look_at(&o->rest, certificate_path(o));
	return rest_call(&o->rest, "PATCH", certificate_path(o),
	    arena_printf(o->rest.a,
		"{\"revocation_reason\":\"%s\",\"revocation_time\":%" PRId64
		"}",
		reason_of(what->reason_code), clock_wall_us() / 1000000),
	    rest_on_revoked);
}

/* --- testing --- */

static const char *
policy_path(void *order)
{
	return "/validationpolicy";
}

static const struct rest_ca globalsign = {
    .size = sizeof(struct order),
    .calls = 2, /* the policy comes first */
    .url_key = "api_url",
    .version = "/v2",
    .own_urls = own_urls,
    .configure = configure,
    .sign_in = sign_in,
    .token = token,
    .token_key = token_key,
    .order_path = order_path,
    .on_order = on_certificate,
    .judge = judge_certificate,
    .list_size = PAGE,
    .list_path = list_path,
    .list = list,
    .lists_serials = true,
    .candidates = "/certificates/",
    .is_ours = is_ours,
    .is_revoked = is_revoked,
    .test_path = policy_path,
};

const struct issuer_ops issuer_globalsign = {
    .type = "GlobalSign",
    .rest = &globalsign,
    .open = rest_open,
    .limit_ms = rest_limit_ms,
    .can_look_up = rest_can_look_up,
    .place = globalsign_place,
    .look_up = rest_look_up,
    .look_through = rest_look_through,
    .poll = rest_poll,
    .revoke = globalsign_revoke,
    .validate = rest_validate,
};
