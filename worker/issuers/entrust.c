/*
 * The issuer of type Entrust: Entrust CA Gateway, on premises or as PKI as a
 * Service.
 *
 * An enrolment is answered with its id and, where the profile wants nobody's
 * approval, with the certificate; who stands above it is asked of the CA.  Who
 * we are says our certificate as a TLS client.
 *
 * Enrolments cannot be listed, but what was issued can: a certificate with the
 * key of our request is ours.  An enrolment that waits for approval is not
 * found so: where the profile wants one, that there is none proves nothing.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/json/json.h"
#include "common/pki/cert/certpile.h"
#include "worker/issuers/rest_ca.h"

#define SKEW_S 300
#define MINUTE_S 60

static const char *const own_urls[] = {
    "https://cagw.pkiaas.entrust.com/cagw",
    "https://cagw.eu.pkiaas.entrust.com/cagw",
    NULL,
};

static const struct rest_word statuses[] = {
    {"REJECTED", ISSUER_REFUSED},
    {"DENIED", ISSUER_REFUSED},
    {"FAILED", ISSUER_REFUSED},
    {0},
};

struct order { /* in the arena */
	struct rest_order rest;
	const char *ca; /* the path of it */
	const char *profile;
	const char *approval;
	const char *leaf; /* PEM, issued, while its chain is fetched */
	/* The path at which a look-up lists them, and its next page. */
	const char *events, *next;
	bool is_new; /* answered to an order, not to a question */
};

/* --- configuration --- */

static void
configure(void *order, struct issuer_config *c)
{
	struct order *o = order;
	const char *ca = "";

	o->profile = "";
	o->approval = "required";
	issuer_config_text(c, "ca_id", &ca);
	issuer_config_text(c, "profile_id", &o->profile);
	issuer_config_text(c, "approval", &o->approval);
	issuer_config_refuse_if(c,
	    strcmp(o->approval, "required") != 0 &&
		strcmp(o->approval, "none") != 0,
	    "approval is neither \"required\" nor \"none\"");
	issuer_config_pair(c, "client_cert_path", "client_key_path",
	    &o->rest.env);
	o->ca = arena_printf(c->a, "/v1/certificate-authorities/%s",
	    rest_url_text(c->a, ca));
}

/* --- what became of an enrolment --- */

/* Base64 of DER, or PEM already: as the gateway was asked, or likes. */
static const char *
pem_of(struct arena *a, const char *body)
{
	if (strstr(body, "-----BEGIN"))
		return arena_printf(a, "%s\n", body);
	return arena_printf(a,
	    "-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n",
	    body);
}

/* What stands in the member's certificateData, as PEM; "": nothing. */
static const char *
data_of(struct order *o, const struct cJSON *object)
{
	const char *data = "";

	if (json_str(object, "certificateData", REST_REPLY_MAX, &data) != RC_OK)
		return "";
	return pem_of(o->rest.a, data);
}

static void
add(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

static void
on_ca(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;
	const struct cJSON *ca = r->json, *item;
	const char *text;
	struct buf b;

	if (!rest_is_good(r) || !ca) {
		rest_not_fetched(&o->rest,
		    o->is_new ? ISSUER_PENDING : ISSUER_RETRY, r);
		return;
	}
	if (json_get(ca, "certificateAuthority"))
		ca = json_get(ca, "certificateAuthority");
	buf_init(&b, 0);
	add(&b, o->leaf);
	add(&b, data_of(o, json_get(ca, "certificate")));
	cJSON_ArrayForEach(item, json_get(ca, "chain"))
	{
		add(&b, data_of(o, item));
	}
	text = arena_strdup(o->rest.a, buf_cstr(&b));
	buf_fini(&b);
	rest_issued(&o->rest, text, strlen(text));
}

/* An answer is the enrolment itself, or has it as a member. */
static const struct cJSON *
enrollment_of(const struct cJSON *json)
{
	const struct cJSON *e = json_get(json, "enrollment");

	return e ? e : json;
}

static const char *
text_of(const struct cJSON *object, const char *name, const char *other)
{
	const char *text = "";

	if (json_str(object, name, REST_REPLY_MAX, &text) == RC_OK &&
	    text[0] != '\0')
		return text;
	return json_str(object, other, REST_REPLY_MAX, &text) == RC_OK ? text
								       : "";
}

static void
judge_enrollment(void *order, const struct cJSON *shown)
{
	struct order *o = order;
	const struct cJSON *e = enrollment_of(shown);
	const char *status = text_of(e, "status", "state");
	const char *body = text_of(e, "body", "certificate");

	if (rest_verdict(statuses, status) == ISSUER_REFUSED) {
		rest_answer(&o->rest, ISSUER_REFUSED, status, 0);
	} else if (body[0] != '\0') {
		o->leaf = pem_of(o->rest.a, body);
		rest_get(&o->rest, o->ca, on_ca);
	} else if (status[0] != '\0' || o->is_new) {
		rest_answer(&o->rest, ISSUER_PENDING,
		    status[0] ? status : "pending", 0);
	} else {
		rest_answer(&o->rest, ISSUER_RETRY,
		    "the answer has neither a status nor a certificate", 0);
	}
}

static const char *
enrollment_path(void *order)
{
	struct order *o = order;

	return arena_printf(o->rest.a, "%s/enrollments/%s", o->ca,
	    rest_url_text(o->rest.a, o->rest.order_id));
}

/* --- placing --- */

static const char *
type_of(enum san_type type)
{
	switch (type) {
	case SAN_DNS:
		return "dNSName";
	case SAN_IP:
		return "iPAddress";
	case SAN_EMAIL:
		return "rfc822Name";
	case SAN_URI:
		break;
	}
	return "uniformResourceIdentifier";
}

static void
write_names(struct json_w *w, const struct csr *csr)
{
	json_w_key(w, "subjectAltNames");
	json_w_open(w, '[');
	for (size_t i = 0; i < csr->nnames; i++) {
		json_w_open(w, '{');
		json_w_kv(w, "type", type_of(csr->names[i].type));
		json_w_kv(w, "value", csr->names[i].text);
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
}

static const char *
write_enrollment(struct order *o)
{
	const struct issuer_order *order = o->rest.order;
	struct rest_body body;
	struct json_w *w = rest_body_start(&body);

	json_w_kv(w, "profileId", o->profile);
	json_w_key(w, "requiredFormat");
	json_w_open(w, '{');
	json_w_kv(w, "format", "PEM");
	json_w_close(w, '}');
	json_w_kv(w, "csr",
	    enc_base64(o->rest.a, order->csr->der.p, order->csr->der.len));
	write_names(w, order->csr);
	json_w_key(w, "optionalCertificateRequestDetails");
	json_w_open(w, '{');
	if (order->csr->leaf_common_name)
		json_w_kv(w, "subjectDn",
		    arena_printf(o->rest.a, "CN=%s",
			order->csr->leaf_common_name));
	if (order->max_ttl_s > 0)
		json_w_kv(w, "validityPeriod",
		    arena_printf(o->rest.a, "PT%" PRId64 "M",
			order->max_ttl_s / MINUTE_S));
	json_w_close(w, '}');
	return rest_body_end(&body, o->rest.a);
}

static void
on_placed(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;
	const struct cJSON *e = enrollment_of(r->json);
	const char *id;

	if (!rest_is_good(r)) {
		rest_judge_order(&o->rest, r);
		return;
	}
	id = text_of(e, "id", "trackingId");
	if (id[0] == '\0' || strlen(id) > ISSUER_ORDER_ID_MAX) {
		rest_answer(&o->rest, ISSUER_UNSURE,
		    "the answer to the enrolment does not say its id", 0);
		return;
	}
	o->rest.order_id = id;
	o->is_new = true;
	judge_enrollment(o, r->json);
}

static rc
entrust_place(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	rest_begin(&o->rest, NULL, done, arg);
	return rest_call(&o->rest, "POST",
	    arena_printf(o->rest.a, "%s/enrollments", o->ca),
	    write_enrollment(o), on_placed);
}

/* --- looking up --- */

/* A certificate of our request's key among what was issued; NULL: none. */
static const char *
find_ours(struct order *o, const struct cJSON *events)
{
	const struct cJSON *item;
	const char *data = "", *pem;

	cJSON_ArrayForEach(item, events)
	{
		if (json_str(item, "certificate", REST_REPLY_MAX, &data) !=
		    RC_OK)
			continue;
		pem = pem_of(o->rest.replies, data);
		if (certpile_is_of_key(o->rest.order->csr->spki, pem,
			strlen(pem)))
			return pem;
	}
	return NULL;
}

static void
answer_none(struct order *o)
{
	bool is_sure = strcmp(o->approval, "none") == 0;

	rest_answer(&o->rest, is_sure ? ISSUER_NO_ORDER : ISSUER_RETRY,
	    is_sure ? "it has issued nothing for our request"
		    : "it has issued nothing for our request, but an enrolment "
		      "may wait there for approval: those cannot be listed",
	    0);
}

static issuer_reply_fn on_events;

static void
next_page(void *arg)
{
	struct order *o = arg;

	rest_get(&o->rest, o->next, on_events);
}

static void
on_events(void *arg, const struct issuer_reply *r)
{
	struct order *o = arg;
	const struct cJSON *events = json_get(r->json, "events");
	const char *next = "";
	bool has_more = false;

	if (!rest_is_good(r) || !cJSON_IsArray(events)) {
		rest_answer_reply(&o->rest, ISSUER_RETRY, r);
		return;
	}
	o->leaf = find_ours(o, events);
	if (o->leaf) {
		rest_get(&o->rest, o->ca, on_ca);
		return;
	}
	if (json_bool(r->json, "morePages", &has_more) != RC_OK || !has_more ||
	    json_str(r->json, "nextPageIndex", REST_TEXT_MAX, &next) != RC_OK) {
		answer_none(o);
		return;
	}
	o->next = arena_printf(o->rest.a, "%s&nextPageIndex=%s", o->events,
	    rest_url_text(o->rest.a, next));
	if (rest_round_is_over(&o->rest, (size_t)cJSON_GetArraySize(events)))
		rest_round_end(&o->rest);
	else
		next_page(o);
}

static rc
entrust_look_up(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;
	char start[32];

	rest_rounds_begin(&o->rest, next_page, done, arg);
	clock_format_rfc3339((o->rest.order->placed_unix - SKEW_S) * 1000000,
	    start);
	o->events =
	    arena_printf(o->rest.a, "%s/certificate-events?startDate=%s", o->ca,
		rest_url_text(o->rest.a, start));
	return rest_call(&o->rest, "GET", o->events, NULL, on_events);
}

/* --- revoking --- */

static const char *
certificate_path(struct order *o)
{
	return arena_printf(o->rest.a, "%s/certificates/%s", o->ca,
	    o->rest.certificate_id);
}

static bool
is_revoked(const struct cJSON *shown)
{
	return strcmp(text_of(json_get(shown, "certificate"), "status",
			  "state"),
		   "REVOKED") == 0;
}

static rc
entrust_revoke(void *order, const struct issuer_revocation *what,
    issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	rest_begin(&o->rest, what->order_id, done, arg);
	o->rest.certificate_id = what->serial;
	rest_look_at(&o->rest, certificate_path(o));
	return rest_call(&o->rest, "POST",
	    arena_printf(o->rest.a, "%s/actions", certificate_path(o)),
	    arena_printf(o->rest.a,
		"{\"action\":{\"type\":\"RevokeAction\",\"reason\":\"%s\","
		"\"comment\":\"revoked in certctl\"}}",
		what->reason[0] ? what->reason : "unspecified"),
	    rest_on_revoked);
}

/* --- testing --- */

static const char *
ca_path(void *order)
{
	return ((struct order *)order)->ca;
}

static const struct rest_ca entrust = {
    .size = sizeof(struct order),
    .calls = 2, /* the chain is a call of its own */
    .url_key = "api_url",
    .own_urls = own_urls,
    .configure = configure,
    .order_path = enrollment_path,
    .judge = judge_enrollment,
    .is_revoked = is_revoked,
    .test_path = ca_path,
};

const struct issuer_ops issuer_entrust = {
    .type = "Entrust",
    .rest = &entrust,
    .open = rest_open,
    .limit_ms = rest_limit_ms,
    .can_look_up = rest_can_look_up,
    .place = entrust_place,
    .look_up = entrust_look_up,
    .look_through = rest_look_through,
    .poll = rest_poll,
    .revoke = entrust_revoke,
    .validate = rest_validate,
};
