/*
 * The issuer of type AWSACMPCA: AWS Private CA, its API acm-pca over JSON.
 *
 * All calls are a POST to one URL, each signed (sigv4.h); a refusal has a word
 * for what it is, and a status that is 400 nearly always.  An order is answered
 * with the ARN of its certificate, which is fetched when it was made.
 *
 * Orders can't be listed.  One that is sent again with the same token within
 * five minutes is the same order, so that is how it is looked up; once that
 * time may be over nothing can be said of it any more.
 *
 * https://docs.aws.amazon.com/privateca/latest/APIReference/
 */
#include <cjson/cJSON.h>
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/base/plain.h"
#include "common/http/sigv4.h"
#include "common/json/json.h"
#include "worker/issuers/rest_ca.h"

#define SERVICE "acm-pca"
#define TARGET "ACMPrivateCA."
#define JSON_TYPE "application/x-amz-json-1.1"
#define DAY_S 86400
#define DAYS 365
#define TOKEN_MAX 36
/* Of the five minutes; the rest is for what runs meanwhile, and for clocks. */
#define REPEAT_S 180

struct order { /* in the arena */
	struct rest_order rest;
	const char *region, *ca_arn, *algorithm, *template_arn;
	int64_t days;
	struct sigv4_key key;
	const char *urls[2];
	struct http_header headers[6];
};

/* --- configuration --- */

static bool
is_region(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= 32 &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

/* arn:aws:acm-pca:<region>:<account>:certificate-authority/<id> */
static bool
is_arn_of(struct arena *a, const char *region, const char *arn)
{
	const char *mine = arena_printf(a, ":" SERVICE ":%s:", region);
	const char *at = strstr(arn, mine);

	return strncmp(arn, "arn:aws", 7) == 0 && at == strchr(arn + 4, ':') &&
	       strspn(at + strlen(mine), "0123456789") == 12 &&
	       strncmp(at + strlen(mine) + 12, ":certificate-authority/", 23) ==
		   0;
}

static bool
is_algorithm(const char *text)
{
	static const char *const all[] = {"SHA256WITHRSA", "SHA384WITHRSA",
	    "SHA512WITHRSA", "SHA256WITHECDSA", "SHA384WITHECDSA",
	    "SHA512WITHECDSA"};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (strcmp(all[i], text) == 0)
			return true;
	return false;
}

static void
configure(void *order, struct issuer_config *c)
{
	struct order *o = order;
	struct arena *a = o->rest.a;
	const char *domain;

	o->region = o->ca_arn = o->template_arn = "";
	o->algorithm = "SHA256WITHRSA";
	o->days = DAYS;
	o->key = (struct sigv4_key){"", "", "", "", SERVICE};
	issuer_config_text(c, "region", &o->region);
	issuer_config_text(c, "ca_arn", &o->ca_arn);
	issuer_config_text(c, "signing_algorithm", &o->algorithm);
	issuer_config_text(c, "template_arn", &o->template_arn);
	issuer_config_int(c, "validity_days", &o->days);
	issuer_config_secret(c, "access_key_id", &o->key.access_key_id);
	issuer_config_secret(c, "secret_access_key", &o->key.secret_access_key);
	issuer_config_secret(c, "session_token", &o->key.session_token);
	issuer_config_refuse_if(c, !is_region(o->region),
	    "region is no region of AWS, like eu-central-1");
	issuer_config_refuse_if(c, !is_arn_of(a, o->region, o->ca_arn),
	    "ca_arn is no ARN of a private CA in that region");
	issuer_config_refuse_if(c, !is_algorithm(o->algorithm),
	    "signing_algorithm must be SHA256WITHRSA, SHA256WITHECDSA, or the "
	    "same with SHA384 or SHA512");
	o->key.region = o->region;
	domain = strncmp(o->ca_arn, "arn:aws-cn:", 11) == 0 ? ".cn" : "";
	o->urls[0] = arena_printf(a, "https://" SERVICE ".%s.amazonaws.com%s",
	    o->region, domain);
	o->rest.own_urls = o->urls;
	o->rest.content_type = JSON_TYPE;
}

/* --- calls --- */

/* What the URL names, as it is sent in the header Host. */
static const char *
host_of(struct order *o)
{
	const char *host = o->rest.base_url + strlen("https://");

	return arena_strndup(o->rest.a, host, strcspn(host, "/"));
}

static void
sign(struct order *o, const char *call, const char *body)
{
	struct arena *a = o->rest.a;
	const char *target = arena_printf(a, TARGET "%s", call);
	const struct http_header named[] = {{"Content-Type", JSON_TYPE},
	    {"Host", host_of(o)}, {"X-Amz-Target", target}, {NULL, NULL}};
	struct http_header *h = o->headers;
	struct sigv4_signed with;

	sigv4_sign(a, &o->key, "POST", named, body, strlen(body),
	    clock_wall_us() / 1000000, &with);
	*h++ = named[2];
	*h++ = (struct http_header){"X-Amz-Date", with.date};
	*h++ = (struct http_header){"Authorization", with.authorization};
	if (o->key.session_token[0] != '\0')
		*h++ = (struct http_header){"X-Amz-Security-Token",
		    o->key.session_token};
	*h = (struct http_header){NULL, NULL};
	o->rest.headers = o->headers;
}

static rc
call(struct order *o, const char *name, const char *body, issuer_reply_fn *next)
{
	sign(o, name, body);
	return rest_call(&o->rest, "POST", "/", body, next);
}

/* Every call's first member. */
static struct json_w *
start(struct order *o, struct rest_body *body)
{
	struct json_w *w = rest_body_start(body);

	json_w_kv(w, "CertificateAuthorityArn", o->ca_arn);
	return w;
}

/* The word for what a refusal is, without the name space that some have. */
static const char *
kind_of(const struct issuer_reply *r)
{
	const char *kind = "", *hash;

	if (r->code != RC_OK ||
	    json_str(r->json, "__type", REST_TEXT_MAX, &kind) != RC_OK)
		return "";
	hash = strchr(kind, '#');
	return hash ? hash + 1 : kind;
}

static bool
is_kind(const struct issuer_reply *r, const char *kind)
{
	return !rest_is_good(r) && strcmp(kind_of(r), kind) == 0;
}

/* What its status would be if it said so: of a refusal that is not the
 * order's fault, and of one that is. */
static struct issuer_reply
plain(const struct issuer_reply *r)
{
	static const struct {
		const char *kind;
		int status;
	} all[] = {
	    {"AccessDeniedException", 403},
	    {"ExpiredTokenException", 403},
	    {"IncompleteSignatureException", 403},
	    {"InternalFailure", 500},
	    {"InvalidSignatureException", 403},
	    {"InvalidStateException", 403},
	    {"LimitExceededException", 429},
	    {"MissingAuthenticationTokenException", 403},
	    {"RequestExpired", 403},
	    {"ServiceUnavailable", 503},
	    {"ThrottlingException", 429},
	    {"UnrecognizedClientException", 403},
	};
	struct issuer_reply as = *r;

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (is_kind(r, all[i].kind))
			as.status = all[i].status;
	return as;
}

/* --- what became of an order --- */

static void
judge(void *order, const struct cJSON *shown)
{
	struct order *o = order;
	const char *leaf = "", *chain = "", *text;

	if (json_str(shown, "Certificate", REST_REPLY_MAX, &leaf) != RC_OK ||
	    json_str(shown, "CertificateChain", REST_REPLY_MAX, &chain) !=
		RC_OK) {
		rest_answer(&o->rest, ISSUER_RETRY,
		    "the answer has no certificate and chain", 0);
		return;
	}
	text = arena_printf(o->rest.a, "%s\n%s\n", leaf, chain);
	rest_issued(&o->rest, text, strlen(text));
}

static void
on_certificate(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;
	struct issuer_reply as = plain(r);

	if (is_kind(r, "RequestInProgressException"))
		rest_answer(&o->rest, ISSUER_PENDING, kind_of(r),
		    r->retry_after_s);
	else if (is_kind(r, "RequestFailedException"))
		rest_answer(&o->rest, ISSUER_REFUSED, kind_of(r), 0);
	else if (is_kind(r, "ResourceNotFoundException"))
		rest_answer_reply(&o->rest, ISSUER_NO_ORDER, r);
	else
		rest_on_order(o, &as);
}

static rc
awsacmpca_poll(void *order, const char *order_id, issuer_answer_fn *done,
    void *arg)
{
	struct order *o = order;
	struct rest_body body;

	rest_begin(&o->rest, order_id, done, arg);
	json_w_kv(start(o, &body), "CertificateArn", order_id);
	return call(o, "GetCertificate", rest_body_end(&body, o->rest.a),
	    on_certificate);
}

/* --- placing --- */

/* Our reference, for as long as one may be. */
static const char *
token(struct order *o)
{
	const char *reference = o->rest.order->reference;
	char hash[65];

	if (strlen(reference) <= TOKEN_MAX)
		return reference;
	enc_sha256_hex(reference, strlen(reference), hash);
	return arena_strndup(o->rest.a, hash, TOKEN_MAX);
}

/* In days; what ends within one is said to the second. */
static void
write_validity(struct json_w *w, const struct order *o)
{
	int64_t ttl = o->rest.order->max_ttl_s, days = o->days;

	if (ttl > 0 && ttl / DAY_S < days)
		days = ttl / DAY_S;
	json_w_key(w, "Validity");
	json_w_open(w, '{');
	json_w_kv(w, "Type", days > 0 ? "DAYS" : "ABSOLUTE");
	json_w_kv_int(w, "Value",
	    days > 0 ? days : clock_wall_us() / 1000000 + ttl);
	json_w_close(w, '}');
}

static const char *
write_order(struct order *o)
{
	const char *csr = o->rest.order->csr_pem;
	struct rest_body body;
	struct json_w *w = start(o, &body);

	json_w_kv(w, "Csr",
	    enc_base64(o->rest.a, (const uint8_t *)csr, strlen(csr)));
	json_w_kv(w, "SigningAlgorithm", o->algorithm);
	write_validity(w, o);
	json_w_kv_opt(w, "TemplateArn", o->template_arn);
	json_w_kv(w, "IdempotencyToken", token(o));
	return rest_body_end(&body, o->rest.a);
}

/* The ARN, NULL for none: what is to be an id must be fit to be one. */
static const char *
arn_in(const struct issuer_reply *r)
{
	const char *arn = "";
	rc ret;

	ret = json_str(r->json, "CertificateArn", ISSUER_ORDER_ID_MAX, &arn);
	return ret == RC_OK && arn[0] != '\0' && plain_is_line(arn) ? arn
								    : NULL;
}

static void
on_placed(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;
	struct issuer_reply as = plain(r);

	if (!rest_is_good(r)) {
		rest_judge_order(&o->rest, &as);
		return;
	}
	o->rest.order_id = arn_in(r);
	if (o->rest.order_id)
		rest_answer(&o->rest, ISSUER_PENDING, "ordered", 0);
	else
		rest_answer(&o->rest, ISSUER_UNSURE,
		    "the answer to the order does not say where its "
		    "certificate will be",
		    0);
}

static rc
awsacmpca_place(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	rest_begin(&o->rest, NULL, done, arg);
	return call(o, "IssueCertificate", write_order(o), on_placed);
}

/* --- looking up --- */

static bool
awsacmpca_can_look_up(const void *order)
{
	const struct order *o = order;

	return o->rest.order->placed_ago_s <= REPEAT_S;
}

static void
on_repeated(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	o->rest.order_id = rest_is_good(r) ? arn_in(r) : NULL;
	if (o->rest.order_id)
		rest_answer(&o->rest, ISSUER_PENDING, "ordered", 0);
	else
		rest_answer_reply(&o->rest, ISSUER_RETRY, r);
}

static rc
awsacmpca_look_up(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	rest_begin(&o->rest, NULL, done, arg);
	return call(o, "IssueCertificate", write_order(o), on_repeated);
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
	case 9:
		return "PRIVILEGE_WITHDRAWN";
	default: /* certificateHold among them, which AWS has not */
		return "UNSPECIFIED";
	}
}

/* 0a1b -> 0a:1b */
static const char *
with_colons(struct arena *a, const char *hex)
{
	char *text = arena_alloc(a, strlen(hex) / 2 * 3 + 3), *to = text;

	for (size_t i = 0; hex[i] != '\0'; i++) {
		if (i > 0 && i % 2 == 0)
			*to++ = ':';
		*to++ = hex[i];
	}
	return text;
}

static void
on_revoked(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;
	struct issuer_reply as = plain(r);

	if (is_kind(r, "RequestAlreadyProcessedException"))
		rest_answer(&o->rest, ISSUER_DONE, "", 0);
	else if (is_kind(r, "RequestInProgressException"))
		rest_answer_reply(&o->rest, ISSUER_PENDING, r);
	else
		rest_on_revoked(o, &as);
}

static rc
awsacmpca_revoke(void *order, const struct issuer_revocation *what,
    issuer_answer_fn *done, void *arg)
{
	struct order *o = order;
	struct rest_body body;
	struct json_w *w;

	rest_begin(&o->rest, what->order_id, done, arg);
	w = start(o, &body);
	json_w_kv(w, "CertificateSerial", with_colons(o->rest.a, what->serial));
	json_w_kv(w, "RevocationReason", reason_of(what->reason_code));
	return call(o, "RevokeCertificate", rest_body_end(&body, o->rest.a),
	    on_revoked);
}

/* --- testing --- */

static void
on_described(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;
	struct issuer_reply as = plain(r);
	const char *status = "of no status";
	rc ret;

	ret = json_str(json_get(r->json, "CertificateAuthority"), "Status",
	    REST_TEXT_MAX, &status);
	if (!rest_is_good(r) || (ret == RC_OK && strcmp(status, "ACTIVE") == 0))
		rest_judge_test(o, &as);
	else
		rest_answer(&o->rest, ISSUER_REFUSED,
		    arena_printf(o->rest.a, "the CA is %s, and not ACTIVE",
			status),
		    0);
}

static rc
awsacmpca_validate(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;
	struct rest_body body;

	rest_begin(&o->rest, NULL, done, arg);
	(void)start(o, &body);
	return call(o, "DescribeCertificateAuthority",
	    rest_body_end(&body, o->rest.a), on_described);
}

static const struct rest_ca awsacmpca = {
    .size = sizeof(struct order),
    .calls = 1,
    .url_key = "base_url",
    .configure = configure,
    .judge = judge,
};

const struct issuer_ops issuer_awsacmpca = {
    .type = "AWSACMPCA",
    .rest = &awsacmpca,
    .open = rest_open,
    .limit_ms = rest_limit_ms,
    .can_look_up = awsacmpca_can_look_up,
    .place = awsacmpca_place,
    .look_up = awsacmpca_look_up,
    .poll = awsacmpca_poll,
    .revoke = awsacmpca_revoke,
    .validate = awsacmpca_validate,
};
