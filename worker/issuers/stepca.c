/*
 * The issuer of type StepCA: Smallstep's step-ca, through a provisioner of its
 * type JWK.
 *
 * An order is a request with a one-time token, which is signed by the
 * provisioner's key; the answer is the certificate with what stands above it.
 * step-ca gives it once: it has no list in which it could be found again
 * (rest_look_up_none).
 *
 * Whom we trust: the roots that all issuers have, a file of this issuer's, or
 * the one root of a fingerprint, which is fetched from the CA itself.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/json/json.h"
#include "common/pki/asn1/pem.h"
#include "worker/issuers/issuer_pair.h"
#include "worker/issuers/rest_ca.h"
#include "worker/issuers/stepca_key.h"

#define DAY_S 86400
#define TOKEN_S 300 /* that a token is good for */
#define SKEW_S 30
#define JTI_LEN 16
#define FINGERPRINT_LEN ((size_t)SHA256_DIGEST_LENGTH * 2)

static const char *const no_urls[] = {NULL};

struct order { /* in the arena */
	struct rest_order rest;
	const char *provisioner, *key, *password;
	const char *fingerprint; /* of the root, lower-case hex; "": any */
	int64_t days;
	/* what the provisioner's key is asked for */
	const struct issuer_revocation *revoked; /* NULL: it orders */
	issuer_reply_fn *signed_in; /* what follows the root's fetch */
};

/* --- configuration --- */

/* 64 hex digits, as `step certificate fingerprint` prints them. */
static const char *
read_fingerprint(struct arena *a, const char *text)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char *hex = arena_alloc(a, FINGERPRINT_LEN + 1);

	if (strlen(text) != FINGERPRINT_LEN ||
	    enc_unhex(text, digest, sizeof(digest)) != RC_OK)
		return NULL;
	enc_hex(digest, sizeof(digest), hex);
	return hex;
}

static void
configure(void *order, struct issuer_config *c)
{
	struct order *o = order;
	const char *fingerprint = "";

	o->provisioner = o->password = o->key = o->fingerprint = "";
	issuer_config_text(c, "provisioner_name", &o->provisioner);
	issuer_config_int(c, "validity_days", &o->days);
	issuer_config_text(c, "root_fingerprint", &fingerprint);
	if (fingerprint[0] != '\0') {
		o->fingerprint = read_fingerprint(c->a, fingerprint);
		issuer_config_refuse_if(c, !o->fingerprint,
		    "root_fingerprint is no SHA-256 in 64 hex digits");
	}
	issuer_config_secret(c, "provisioner_password", &o->password);
	issuer_config_key_file(c, "provisioner_key_path", &o->key);
	issuer_config_roots(c, "root_cert_path", &o->rest.env);
}

/* --- the root of a fingerprint --- */

/* By its name alone nobody is trusted: the certificate itself is compared. */
static bool
is_pinned(const struct order *o, const char *pem)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char hex[FINGERPRINT_LEN + 1];
	struct span der, rest;

	if (pem_read(o->rest.a, "CERTIFICATE", pem, strlen(pem), &der, &rest) !=
	    RC_OK)
		return false;
	SHA256(der.p, der.len, digest);
	enc_hex(digest, sizeof(digest), hex);
	return strcmp(hex, o->fingerprint) == 0;
}

static void
on_root(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;
	const char *pem = "", *why = "";
	rc ret;

	bool is_none = r->code == RC_OK && r->status == 404;

	if (!rest_is_good(r) && !is_none) {
		o->signed_in(o, r);
		return;
	}
	ret = is_none ? RC_NOT_FOUND
		      : json_str(r->json, "ca", REST_REPLY_MAX, &pem);
	if (ret != RC_OK || !is_pinned(o, pem)) {
		rest_answer(&o->rest,
		    o->rest.is_test ? ISSUER_REFUSED : ISSUER_RETRY,
		    "the root that it shows has not the fingerprint of "
		    "root_fingerprint",
		    0);
		return;
	}
	ret = issuer_pair_trust_pem(o->rest.env, o->rest.a, pem, &o->rest.env,
	    &why);
	if (ret != RC_OK)
		rest_answer(&o->rest, ISSUER_RETRY, why, 0);
	else
		o->signed_in(o, r);
}

/* Nobody is asked for anything, and told nothing, before we know who it is: but
 * for that root. */
static rc
fetch_root(void *order, issuer_reply_fn *next)
{
	struct order *o = order;
	const struct issuer_env *env = o->rest.env;
	const char *why = "";
	rc ret;

	if (o->fingerprint[0] == '\0')
		return rest_go_on(&o->rest);
	o->signed_in = next;
	ret = issuer_pair_trust_anybody(env, o->rest.a, &o->rest.env, &why);
	if (ret != RC_OK)
		return ret;
	ret = rest_send(&o->rest, "GET",
	    arena_printf(o->rest.a,
		"/root"
		"/%s",
		o->fingerprint),
	    NULL, on_root);
	o->rest.env = env; /* that is no one's to go on with */
	return ret;
}

/* --- one-time tokens --- */

static const char *
random_id(struct arena *a)
{
	uint8_t bytes[JTI_LEN];
	char *hex = arena_alloc(a, sizeof(bytes) * 2 + 1);

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return NULL;
	enc_hex(bytes, sizeof(bytes), hex);
	return hex;
}

/* step-ca takes none that was issued before it started, whatever its nbf. */
static void
write_times(struct json_w *w)
{
	int64_t now = clock_wall_us() / 1000000;

	json_w_kv_int(w, "iat", now);
	json_w_kv_int(w, "nbf", now - SKEW_S);
	json_w_kv_int(w, "exp", now + TOKEN_S);
}

/* path: of the call that it lets in.  names: of the certificate; NULL: none.
 * NULL where it can't be made. */
static const char *
make_token(struct order *o, const struct jws_key *key, const char *kid,
    const char *path, const char *subject, const struct csr *names)
{
	const char *jti = random_id(o->rest.a), *header, *token = NULL;
	struct rest_body body;
	struct json_w *w = rest_body_start(&body);
	rc ret = RC_CRYPTO;

	json_w_kv(w, "alg", "ES256");
	json_w_kv(w, "typ", "JWT");
	json_w_kv(w, "kid", kid);
	header = rest_body_end(&body, o->rest.a);
	w = rest_body_start(&body);
	json_w_kv(w, "iss", o->provisioner);
	json_w_kv(w, "sub", subject);
	json_w_kv(w, "aud",
	    arena_printf(o->rest.a, "%s%s", o->rest.base_url, path));
	json_w_kv(w, "jti", jti ? jti : "");
	write_times(w);
	if (o->fingerprint[0] != '\0')
		json_w_kv(w, "sha", o->fingerprint);
	if (names) {
		json_w_key(w, "sans");
		json_w_open(w, '[');
		for (size_t i = 0; i < names->nnames; i++)
			json_w_str(w, names->names[i].text);
		json_w_close(w, ']');
	}
	if (jti)
		ret = jws_sign_token(o->rest.a, key, header,
		    rest_body_end(&body, o->rest.a), &token);
	else
		(void)rest_body_end(&body, o->rest.a);
	return ret == RC_OK ? token : NULL;
}

static void
call(struct order *o, const char *path, const char *body, issuer_reply_fn *next)
{
	if (rest_call(&o->rest, "POST", path, body, next) != RC_OK)
		rest_answer(&o->rest, ISSUER_RETRY, "it could not be called",
		    0);
}

static const char *
no_key(struct order *o, const char *why)
{
	return arena_printf(o->rest.a,
	    "the key of provisioner_key_path can't be used: %s", why);
}

/* --- ordering --- */

/* Of a certificate, from now on; 0: as the provisioner has it. */
static int64_t
life_s(const struct order *o)
{
	int64_t most = o->rest.order->max_ttl_s, life = o->days * DAY_S;

	if (life == 0 || (most > 0 && most < life))
		return most;
	return life;
}

/* The certificate, and those above it: a chain, or the CA's own alone. */
static const char *
certificates_of(struct order *o, const struct cJSON *json)
{
	const char *text, *pem = "";

	text = rest_pems(&o->rest, "", json_get(json, "certChain"), NULL);
	if (text[0] != '\0')
		return text;
	if (json_str(json, "crt", REST_REPLY_MAX, &text) != RC_OK ||
	    text[0] == '\0')
		return NULL;
	if (json_str(json, "ca", REST_REPLY_MAX, &pem) != RC_OK)
		pem = "";
	return arena_printf(o->rest.a, "%s\n%s\n", text, pem);
}

/* In its own words 403 is of the request: a life or a name that its provisioner
 * does not give, and would not give the next time.  Whom it does not let in it
 * answers with 401. */
static bool
is_forbidden(const struct issuer_reply *r)
{
	return r->code == RC_OK && r->status == 403 && r->json &&
	       json_get(r->json, "message");
}

static void
on_signed(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;
	const char *pem;

	if (is_forbidden(r)) {
		rest_answer_reply(&o->rest, ISSUER_REFUSED, r);
		return;
	}
	if (!rest_is_good(r)) {
		rest_judge_given(&o->rest, r);
		return;
	}
	pem = certificates_of(o, r->json);
	if (pem)
		rest_issued(&o->rest, pem, strlen(pem));
	else
		rest_answer(&o->rest, ISSUER_UNSURE,
		    "the answer to the order has no certificate", 0);
}

static void
on_order_key(void *arg, const struct jws_key *key, const char *kid,
    const char *why)
{
	struct order *o = arg;
	const struct issuer_order *order = o->rest.order;
	struct rest_body body;
	const char *token;
	struct json_w *w;

	token = key ? make_token(o, key, kid, "/1.0/sign",
			  rest_common_name(order), order->csr)
		    : NULL;
	if (!token) {
		rest_answer(&o->rest, ISSUER_RETRY, no_key(o, why), 0);
		return;
	}
	w = rest_body_start(&body);
	json_w_kv(w, "csr", order->csr_pem);
	json_w_kv(w, "ott", token);
	if (life_s(o) > 0)
		json_w_kv(w, "notAfter",
		    arena_printf(o->rest.a, "%" PRId64 "s", life_s(o)));
	call(o, "/1.0/sign", rest_body_end(&body, o->rest.a), on_signed);
}

static rc
stepca_place(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	rest_begin(&o->rest, NULL, done, arg);
	stepca_key_ask(o->rest.env->stepca, o->rest.a, o->key, o->password,
	    on_order_key, o);
	return RC_OK;
}

/* --- revoking --- */

/* step-ca calls certificates by their numbers in decimal. */
static const char *
decimal(struct arena *a, const char *hex)
{
	BIGNUM *n = NULL;
	char *digits = BN_hex2bn(&n, hex) > 0 ? BN_bn2dec(n) : NULL;
	const char *text = arena_strdup(a, digits ? digits : "");

	OPENSSL_free(digits);
	BN_free(n);
	return text;
}

/* It has no number for that, nor a question that tells: its words do. */
static bool
was_revoked_before(const struct issuer_reply *r)
{
	return r->code == RC_OK && r->status == 400 &&
	       strstr(r->text, "already revoked") != NULL;
}

static void
on_revoked(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (was_revoked_before(r))
		rest_answer(&o->rest, ISSUER_DONE, "", 0);
	else
		rest_on_revoked(o, r);
}

static void
on_revoke_key(void *arg, const struct jws_key *key, const char *kid,
    const char *why)
{
	struct order *o = arg;
	const char *serial = decimal(o->rest.a, o->revoked->serial), *token;
	struct rest_body body;
	struct json_w *w;

	token =
	    key ? make_token(o, key, kid, "/1.0/revoke", serial, NULL) : NULL;
	if (!token) {
		rest_answer(&o->rest, ISSUER_RETRY, no_key(o, why), 0);
		return;
	}
	w = rest_body_start(&body);
	json_w_kv(w, "serial", serial);
	json_w_kv(w, "ott", token);
	json_w_kv_int(w, "reasonCode", o->revoked->reason_code);
	json_w_kv(w, "reason", "revoked in certctl");
	/* Nothing else is there to be had: relying parties ask it. */
	json_w_kv_bool(w, "passive", true);
	call(o, "/1.0/revoke", rest_body_end(&body, o->rest.a), on_revoked);
}

static rc
stepca_revoke(void *order, const struct issuer_revocation *what,
    issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	rest_begin(&o->rest, NULL, done, arg);
	o->revoked = what;
	stepca_key_ask(o->rest.env->stepca, o->rest.a, o->key, o->password,
	    on_revoke_key, o);
	return RC_OK;
}

/* --- testing --- */

static const char *
health_path(void *order)
{
	return "/health";
}

static void
on_test_key(void *arg, const struct jws_key *key, const char *kid,
    const char *why)
{
	struct order *o = arg;

	rest_answer(&o->rest, key ? ISSUER_DONE : ISSUER_REFUSED,
	    key ? "" : no_key(o, why), 0);
}

static void
on_health(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (rest_is_good(r))
		stepca_key_ask(o->rest.env->stepca, o->rest.a, o->key,
		    o->password, on_test_key, o);
	else
		rest_judge_test(o, r);
}

static const struct rest_ca stepca = {
    .size = sizeof(struct order),
    .calls = 1,
    .url_key = "ca_url",
    .own_urls = no_urls,
    .configure = configure,
    .sign_in = fetch_root,
    .test_path = health_path,
    .on_tested = on_health,
};

const struct issuer_ops issuer_stepca = {
    .type = "StepCA",
    .rest = &stepca,
    .open = rest_open,
    .limit_ms = rest_limit_ms,
    .can_look_up = rest_can_look_up,
    .place = stepca_place,
    .look_up = rest_look_up_none,
    .revoke = stepca_revoke,
    .validate = rest_validate,
};
