/*
 * The issuer of type EJBCA: version 1 of EJBCA's REST API.
 *
 * A request is enrolled for an end entity, which is made for it or taken over:
 * one for each common name, because EJBCA has no two with the same subject.  It
 * issues while it is asked, or says that the request waits for an approval;
 * that one is finalized later, with the enrollment code that it was placed
 * with.  The code is made of the issuer's own key, so that every worker has it
 * and it stands nowhere.
 *
 * The API keeps no reference of ours: a look-up searches for the certificates
 * of the end entity, and among them for the request's key.  A search that finds
 * too many is made for a shorter time, and then for what is behind that.
 *
 * https://docs.keyfactor.com/ejbca/latest/ejbca-rest-interface
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/json/json.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/cert/certpile.h"
#include "common/pki/key/key.h"
#include "worker/issuers/rest_ca.h"
#include "worker/issuers/search_window.h"

#define NAME_CHARS \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-"
/* By its date of issue EJBCA means the certificate's notBefore, which profiles
 * set back, by ten minutes where nobody says otherwise: so far from the time of
 * an order that of its certificate may be. */
#define AROUND_S 3600
#define FOUND_MAX 100 /* certificates that a search gives */
#define DN_MAX 1000

static const char *const own_urls[] = {NULL};

struct order { /* in the arena */
	struct rest_order rest;
	struct search_window window; /* of a look-up's search */
	const char *ca_name, *cert_profile, *ee_profile;
	const char *leaf; /* PEM, issued, while its chain is fetched */
	/* What it means when more can't be asked: of an order that is placed,
	 * that it exists. */
	enum issuer_verdict later;
	/* of a revocation */
	const struct issuer_revocation *what;
	/* what is done when the CA's subject is known, for a path */
	void (*then)(struct order *o, const char *dn);
};

/* --- configuration --- */

static void
configure(void *order, struct issuer_config *c)
{
	struct order *o = order;
	const char *mode = "mtls", *token = "";
	bool is_mtls;

	o->ca_name = o->cert_profile = o->ee_profile = "";
	o->later = ISSUER_RETRY;
	issuer_config_text(c, "auth_mode", &mode);
	issuer_config_text(c, "ca_name", &o->ca_name);
	issuer_config_text(c, "cert_profile", &o->cert_profile);
	issuer_config_text(c, "ee_profile", &o->ee_profile);
	issuer_config_secret(c, "token", &token);
	is_mtls = strcmp(mode, "mtls") == 0;
	issuer_config_refuse_if(c, !is_mtls && strcmp(mode, "oauth2") != 0,
	    "auth_mode must be mtls or oauth2");
	issuer_config_refuse_if(c, is_mtls != (token[0] == '\0'),
	    "token is for auth_mode oauth2, which needs it");
	if (is_mtls) {
		issuer_config_pair(c, "client_cert_path", "client_key_path",
		    &o->rest.env);
		return;
	}
	issuer_config_refuse_if(c,
	    json_get(c->object, "client_cert_path") ||
		json_get(c->object, "client_key_path"),
	    "client_cert_path and client_key_path are for auth_mode mtls");
	o->rest.bearer[0] = (struct http_header){"Authorization",
	    arena_printf(o->rest.a, "Bearer %s", token)};
	o->rest.headers = o->rest.bearer;
}

/* --- certificates --- */

/* As it stands in answers: DER or PEM, in base64; NULL: it is neither. */
static const char *
pem_of(struct arena *a, const char *text)
{
	uint8_t *der;
	size_t len;

	if (enc_unbase64_lines(a, text, strlen(text), &der, &len) != RC_OK ||
	    len == 0)
		return NULL;
	if (len > 10 && memcmp(der, "-----BEGIN", 10) == 0)
		return arena_strndup(a, (const char *)der, len);
	return pem_write(a, "CERTIFICATE", (struct span){der, len});
}

static const char *
certificate_in(struct arena *a, const struct cJSON *shown)
{
	const char *text = "";

	if (json_str(shown, "certificate", REST_REPLY_MAX, &text) != RC_OK)
		return NULL;
	return pem_of(a, text);
}

static const char *
chain_in(struct arena *a, const struct cJSON *shown)
{
	const struct cJSON *item;
	const char *all = "";

	cJSON_ArrayForEach(item, json_get(shown, "certificate_chain"))
	{
		const char *pem =
		    cJSON_IsString(item) ? pem_of(a, item->valuestring) : NULL;

		if (pem)
			all = arena_printf(a, "%s%s\n", all, pem);
	}
	return all;
}

/* --- the CA's subject --- */

/* In EJBCA's own spelling; NULL: it has no CA of that name. */
static const char *
subject_in(const struct order *o, const struct cJSON *json)
{
	const struct cJSON *item;
	const char *name, *dn;

	cJSON_ArrayForEach(item, json_get(json, "certificate_authorities"))
	{
		if (json_str(item, "name", REST_TEXT_MAX, &name) == RC_OK &&
		    strcmp(name, o->ca_name) == 0 &&
		    json_str(item, "subject_dn", DN_MAX, &dn) == RC_OK)
			return dn;
	}
	return NULL;
}

static void
on_cas(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;
	const char *dn;

	if (!rest_is_good(r)) {
		rest_answer_reply(&o->rest, o->later, r);
		return;
	}
	dn = subject_in(o, r->json);
	if (dn)
		o->then(o, rest_url_text(o->rest.a, dn));
	else
		rest_answer(&o->rest, o->later,
		    "it lists no CA of the name ca_name", 0);
}

/* --- an issued certificate --- */

static void
on_chain(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;
	const char *all;

	if (!rest_is_good(r)) {
		rest_not_fetched(&o->rest, o->later, r);
		return;
	}
	all = arena_printf(o->rest.a, "%s\n%s\n", o->leaf, r->text);
	rest_issued(&o->rest, all, strlen(all));
}

static void
get_chain(struct order *o, const char *dn)
{
	rest_get(&o->rest,
	    arena_printf(o->rest.a, "/ca/%s/certificate/download", dn),
	    on_chain);
}

/* Who signed it comes with it, or is asked for. */
static void
judge(void *order, const struct cJSON *shown)
{
	struct order *o = order;
	const char *all;

	o->leaf = certificate_in(o->rest.a, shown);
	if (!o->leaf) {
		rest_answer(&o->rest, o->later, "the answer has no certificate",
		    0);
		return;
	}
	all = chain_in(o->rest.a, shown);
	if (all[0] == '\0') {
		o->then = get_chain;
		rest_get(&o->rest, "/ca", on_cas);
		return;
	}
	all = arena_printf(o->rest.a, "%s\n%s", o->leaf, all);
	rest_issued(&o->rest, all, strlen(all));
}

/* --- placing --- */

/* The end entity of the request's common name. */
static const char *
username(struct order *o)
{
	const char *name = rest_common_name(o->rest.order);
	char *plain, hex[65];

	if (name[strspn(name, NAME_CHARS)] == '\0')
		return arena_printf(o->rest.a, "certctl-%s", name);
	plain = arena_strdup(o->rest.a, name);
	for (char *c = plain; *c; c++)
		if (!strchr(NAME_CHARS, *c))
			*c = '_';
	/* Another name may look the same now. */
	enc_sha256_hex(name, strlen(name), hex);
	return arena_printf(o->rest.a, "certctl-%s-%.8s", plain, hex);
}

/* RC_IO, with errno. */
static rc
enrollment_code(struct order *o, const char **out)
{
	const char *reference = o->rest.order->reference;
	struct secret *pem;
	uint8_t mac[32];
	rc ret;

	ret = key_to_pem(o->rest.order->account_key, &pem);
	if (ret != RC_OK) {
		errno = EKEYREJECTED;
		return RC_IO;
	}
	enc_hmac_sha256(secret_bytes(pem), secret_len(pem), reference,
	    strlen(reference), mac);
	secret_free(pem);
	*out = enc_base64url(o->rest.a, mac, sizeof(mac));
	return RC_OK;
}

/* The start of a body that shows the enrollment code.  RC_IO as above. */
static rc
start_body(struct order *o, struct rest_body *body, struct json_w **out)
{
	const char *code;
	rc ret;

	ret = enrollment_code(o, &code);
	if (ret != RC_OK)
		return ret;
	*out = rest_body_start(body);
	json_w_kv(*out, "password", code);
	return RC_OK;
}

/* PENDING, by the id of the request that somebody has to approve. */
static void
waits(struct order *o, const struct issuer_reply *r)
{
	int64_t id = 0;

	if (json_int(r->json, "request_id", INT32_MIN, INT32_MAX, &id) == RC_OK)
		o->rest.order_id = arena_printf(o->rest.a, "%" PRId64, id);
	if (o->rest.order_id)
		rest_answer_reply(&o->rest, ISSUER_PENDING, r);
	else
		rest_answer(&o->rest, ISSUER_UNSURE,
		    "an approval is awaited, and the answer does not say of "
		    "which request",
		    0);
}

static void
on_placed(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (!rest_is_good(r))
		rest_judge_order(&o->rest, r);
	else if (r->status == 202)
		waits(o, r);
	else if (certificate_in(o->rest.a, r->json))
		judge(o, r->json);
	else
		rest_answer(&o->rest, ISSUER_UNSURE,
		    "the answer to the order has no certificate", 0);
}

static rc
ejbca_place(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;
	struct rest_body body;
	struct json_w *w;
	rc ret;

	ret = start_body(o, &body, &w);
	if (ret != RC_OK)
		return ret;
	json_w_kv(w, "certificate_request", o->rest.order->csr_pem);
	json_w_kv(w, "certificate_profile_name", o->cert_profile);
	json_w_kv(w, "end_entity_profile_name", o->ee_profile);
	json_w_kv(w, "certificate_authority_name", o->ca_name);
	json_w_kv(w, "username", username(o));
	json_w_kv_bool(w, "include_chain", true);
	rest_begin(&o->rest, NULL, done, arg);
	o->later = ISSUER_UNSURE;
	return rest_call(&o->rest, "POST", "/certificate/pkcs10enroll",
	    rest_body_end(&body, o->rest.a), on_placed);
}

/* --- what became of a request that waited --- */

static void
on_finalized(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (r->code == RC_OK && r->status == 202)
		rest_answer_reply(&o->rest, ISSUER_PENDING, r);
	else if (r->code == RC_OK && (r->status == 400 || r->status == 422))
		rest_answer_reply(&o->rest, ISSUER_REFUSED, r);
	else
		rest_on_order(o, r);
}

static rc
ejbca_poll(void *order, const char *order_id, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;
	struct rest_body body;
	struct json_w *w;
	rc ret;

	ret = start_body(o, &body, &w);
	if (ret != RC_OK)
		return ret;
	json_w_kv(w, "response_format", "DER");
	rest_begin(&o->rest, order_id, done, arg);
	return rest_call(&o->rest, "POST",
	    arena_printf(o->rest.a, "/certificate/%s/finalize", order_id),
	    rest_body_end(&body, o->rest.a), on_finalized);
}

/* --- looking up --- */

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
write_search(struct order *o)
{
	const struct search_window *in = &o->window;
	struct rest_body body;
	struct json_w *w = rest_body_start(&body);

	json_w_kv_int(w, "max_number_of_results", FOUND_MAX);
	json_w_key(w, "criteria");
	json_w_open(w, '[');
	write_criterion(w, "QUERY", username(o), "EQUAL");
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
	struct order *o = arg;

	rest_next(&o->rest, "POST", "/certificate/search", write_search(o),
	    on_found);
}

/* Ours, in the answer to a search, NULL: none of it is. */
static const struct cJSON *
find_ours(struct order *o, const struct cJSON *all)
{
	const struct cJSON *item;

	cJSON_ArrayForEach(item, all)
	{
		const char *pem = certificate_in(o->rest.replies, item);

		if (pem && certpile_is_of_key(o->rest.order->csr->spki, pem,
			       strlen(pem)))
			return item;
	}
	return NULL;
}

static void
on_found(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;
	const struct cJSON *all = json_get(r->json, "certificates"), *ours;
	int64_t soon_unix = clock_wall_us() / 1000000 + AROUND_S;
	bool is_more = false;

	if (!rest_is_good(r) || !cJSON_IsArray(all)) {
		rest_answer_reply(&o->rest, ISSUER_RETRY, r);
		return;
	}
	ours = find_ours(o, all);
	if (ours) {
		judge(o, ours);
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

static rc
ejbca_look_up(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	rest_rounds_begin(&o->rest, search, done, arg);
	o->later = ISSUER_RETRY;
	o->window = (struct search_window){
	    .from_unix = o->rest.order->placed_unix - AROUND_S,
	};
	return rest_call(&o->rest, "POST", "/certificate/search",
	    write_search(o), on_found);
}

/* --- revoking --- */

static const char *
reason_of(int code)
{
	switch (code) {
	case 1:
		return "KEY_COMPROMISE";
	case 2:
		return "CA_COMPROMISE";
	case 3:
		return "AFFILIATION_CHANGED";
	case 4:
		return "SUPERSEDED";
	case 5:
		return "CESSATION_OF_OPERATION";
	case 6:
		return "CERTIFICATE_HOLD";
	case 9:
		return "PRIVILEGES_WITHDRAWN";
	default:
		return "UNSPECIFIED";
	}
}

static void
on_revoked(void *arg, const struct issuer_reply *r)
{
	if (r->code == RC_OK && r->status == 202)
		rest_answer_reply(arg, ISSUER_PENDING, r);
	else
		rest_on_revoked(arg, r);
}

static void
revoke_at(struct order *o, const char *dn)
{
	struct arena *a = o->rest.a;
	const char *at =
	    arena_printf(a, "/certificate/%s/%s", dn, o->what->serial);

	rest_look_at(&o->rest, arena_printf(a, "%s/revocationstatus", at));
	if (o->what->was_pending)
		rest_get(&o->rest, o->rest.look, rest_on_shown);
	else
		rest_next(&o->rest, "PUT",
		    arena_printf(a, "%s/revoke?reason=%s", at,
			reason_of(o->what->reason_code)),
		    NULL, on_revoked);
}

static bool
is_revoked(const struct cJSON *shown)
{
	bool is_it = false;

	return json_bool(shown, "revoked", &is_it) == RC_OK && is_it;
}

static rc
ejbca_revoke(void *order, const struct issuer_revocation *what,
    issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	rest_begin(&o->rest, what->order_id, done, arg);
	o->what = what;
	o->then = revoke_at;
	return rest_call(&o->rest, "GET", "/ca", NULL, on_cas);
}

/* --- testing --- */

static const char *
test_path(void *order)
{
	return "/ca";
}

static void
on_tested(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;

	if (!rest_is_good(r) || subject_in(o, r->json))
		rest_judge_test(o, r);
	else
		rest_answer(&o->rest, ISSUER_REFUSED,
		    "it lists no CA of the name ca_name", 0);
}

static const struct rest_ca ejbca = {
    .size = sizeof(struct order),
    .calls = 3, /* the chain may have to be asked for */
    .url_key = "api_url",
    .version = "/v1",
    .own_urls = own_urls,
    .configure = configure,
    .judge = judge,
    .is_revoked = is_revoked,
    .test_path = test_path,
    .on_tested = on_tested,
};

const struct issuer_ops issuer_ejbca = {
    .type = "EJBCA",
    .wants_account_key = true,
    .rest = &ejbca,
    .open = rest_open,
    .limit_ms = rest_limit_ms,
    .can_look_up = rest_can_look_up,
    .place = ejbca_place,
    .look_up = ejbca_look_up,
    .look_through = rest_look_through,
    .poll = ejbca_poll,
    .revoke = ejbca_revoke,
    .validate = rest_validate,
};
