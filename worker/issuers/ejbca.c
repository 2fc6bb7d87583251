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
 * https://docs.keyfactor.com/ejbca/latest/ejbca-rest-interface
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/json/json.h"
#include "common/pki/key/key.h"
#include "worker/issuers/ejbca_order.h"

static const char *const own_urls[] = {NULL};

/* --- configuration --- */

static void
configure(void *order, struct issuer_config *c)
{
	struct ejbca_order *o = order;
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

/* --- placing --- */

/* RC_IO, with errno. */
static rc
enrollment_code(struct ejbca_order *o, const char **out)
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
start_body(struct ejbca_order *o, struct rest_body *body, struct json_w **out)
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
waits(struct ejbca_order *o, const struct issuer_reply *r)
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
	struct ejbca_order *o = arg;

	if (!rest_is_good(r))
		rest_judge_order(&o->rest, r);
	else if (r->status == 202)
		waits(o, r);
	else if (ejbca_certificate_in(o->rest.a, r->json))
		ejbca_judge(o, r->json);
	else
		rest_answer(&o->rest, ISSUER_UNSURE,
		    "the answer to the order has no certificate", 0);
}

static rc
ejbca_place(void *order, issuer_answer_fn *done, void *arg)
{
	struct ejbca_order *o = order;
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
	json_w_kv(w, "username", ejbca_username(o));
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
	struct ejbca_order *o = arg;

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
	struct ejbca_order *o = order;
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
revoke_at(struct ejbca_order *o, const char *dn)
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
	struct ejbca_order *o = order;

	rest_begin(&o->rest, what->order_id, done, arg);
	o->what = what;
	o->then = revoke_at;
	return rest_call(&o->rest, "GET", "/ca", NULL, ejbca_on_cas);
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
	struct ejbca_order *o = arg;

	if (!rest_is_good(r) || ejbca_subject_in(o, r->json))
		rest_judge_test(o, r);
	else
		rest_answer(&o->rest, ISSUER_REFUSED,
		    "it lists no CA of the name ca_name", 0);
}

static const struct rest_ca ejbca = {
    .size = sizeof(struct ejbca_order),
    .calls = 3, /* the chain may have to be asked for */
    .url_key = "api_url",
    .version = "/v1",
    .own_urls = own_urls,
    .configure = configure,
    .judge = ejbca_judge,
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
