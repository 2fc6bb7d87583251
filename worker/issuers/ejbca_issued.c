/*
 * What EJBCA issued, for whom, and as its answers show it: the end entity, the
 * certificate, and who signed it, which comes with it or is asked for by the
 * CA's subject.
 */
#include <cjson/cJSON.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/json/json.h"
#include "common/pki/asn1/pem.h"
#include "worker/issuers/ejbca_order.h"

#define DN_MAX 1000
#define NAME_CHARS \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-"

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

const char *
ejbca_certificate_in(struct arena *a, const struct cJSON *shown)
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

const char *
ejbca_subject_in(const struct ejbca_order *o, const struct cJSON *json)
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

void
ejbca_on_cas(void *arg, const struct issuer_reply *r)
{
	struct ejbca_order *o = arg;
	const char *dn;

	if (!rest_is_good(r)) {
		rest_answer_reply(&o->rest, o->later, r);
		return;
	}
	dn = ejbca_subject_in(o, r->json);
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
	struct ejbca_order *o = arg;
	const char *all;

	if (!rest_is_good(r)) {
		rest_not_fetched(&o->rest, o->later, r);
		return;
	}
	all = arena_printf(o->rest.a, "%s\n%s\n", o->leaf, r->text);
	rest_issued(&o->rest, all, strlen(all));
}

static void
get_chain(struct ejbca_order *o, const char *dn)
{
	rest_get(&o->rest,
	    arena_printf(o->rest.a, "/ca/%s/certificate/download", dn),
	    on_chain);
}

void
ejbca_judge(void *order, const struct cJSON *shown)
{
	struct ejbca_order *o = order;
	const char *all;

	o->leaf = ejbca_certificate_in(o->rest.a, shown);
	if (!o->leaf) {
		rest_answer(&o->rest, o->later, "the answer has no certificate",
		    0);
		return;
	}
	all = chain_in(o->rest.a, shown);
	if (all[0] == '\0') {
		o->then = get_chain;
		rest_get(&o->rest, "/ca", ejbca_on_cas);
		return;
	}
	all = arena_printf(o->rest.a, "%s\n%s", o->leaf, all);
	rest_issued(&o->rest, all, strlen(all));
}

/* --- for whom --- */

const char *
ejbca_username(struct ejbca_order *o)
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
