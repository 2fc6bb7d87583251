#include "common/pki/cert/leaf_ext.h"

#include <string.h>

#include "common/pki/asn1/name.h"
#include "common/pki/asn1/oid.h"
#include "common/pki/key/alg.h"

#define KEY_ID_LEN 20

/* Key usage bits as DER writes them: the first is the highest. */
#define KU_SIGN 0x80
#define KU_COMMIT 0x40
#define KU_ENCIPHER 0x20

#define PKIX_KP "\x06\x08\x2b\x06\x01\x05\x05\x07\x03"

struct eku {
	const char *name;
	const char *der; /* 10 octets, with header */
	bool tls;
};

/* In this order they stand in a certificate, whatever the order asked for:
 * the same set gives the same bytes. */
static const struct eku ekus[] = {
    {"serverAuth", PKIX_KP "\x01", true},
    {"clientAuth", PKIX_KP "\x02", true},
    {"codeSigning", PKIX_KP "\x03", false},
    {"emailProtection", PKIX_KP "\x04", false},
    {"timeStamping", PKIX_KP "\x08", false},
};
enum { EKU_SERVER, EKU_CLIENT, EKU_CODE, EKU_EMAIL, EKU_TIME };
#define EKU_DER_LEN 10

/* ARRAY_LEN(ekus): none. */
static size_t
eku_find(const char *name)
{
	size_t i = 0;

	while (i < ARRAY_LEN(ekus) && strcmp(ekus[i].name, name))
		i++;
	return i;
}

bool
leaf_ext_is_eku(const char *name)
{
	return eku_find(name) < ARRAY_LEN(ekus);
}

static rc
eku_mask(const char *const *names, unsigned *out)
{
	unsigned mask = 0;

	for (; names && *names; names++) {
		size_t i = eku_find(*names);

		if (i == ARRAY_LEN(ekus))
			return RC_INVALID;
		mask |= 1u << i;
	}
	*out = mask ? mask : 1u << EKU_SERVER | 1u << EKU_CLIENT;
	return RC_OK;
}

void
leaf_ext_wrap(struct der_out *w, struct span oid, bool critical,
    const uint8_t *mark)
{
	static const uint8_t yes = 0xff;

	der_put_head(w, DER_OCTET_STRING, mark);
	if (critical)
		der_put_value(w, DER_BOOLEAN, (struct span){&yes, 1});
	der_put_value(w, DER_OID, oid);
	der_put_head(w, DER_SEQUENCE, mark);
}

/*
 * A leaf signs.  Encipherment is for RSA key exchange of TLS 1.2 alone: an
 * elliptic-curve key cannot do it, and RFC 5480 section 3 forbids the bit.
 */
static void
put_key_usage(struct der_out *w, unsigned mask, const struct csr *c)
{
	uint8_t *mark = der_mark(w), bits = KU_SIGN, unused = 7;
	bool tls = false;

	for (size_t i = 0; i < ARRAY_LEN(ekus); i++)
		tls = tls || (ekus[i].tls && (mask & 1u << i));
	if (mask & 1u << EKU_EMAIL) {
		bits |= KU_COMMIT;
		unused = 6;
	}
	if (tls && strcmp(c->key_algorithm, ALG_RSA) == 0) {
		bits |= KU_ENCIPHER;
		unused = 5;
	}
	der_put_byte(w, bits);
	der_put_byte(w, unused);
	der_put_head(w, DER_BIT_STRING, mark);
	leaf_ext_wrap(w, oid_key_usage, true, mark);
}

static void
put_eku(struct der_out *w, unsigned mask)
{
	uint8_t *mark = der_mark(w);

	for (size_t i = ARRAY_LEN(ekus); i > 0; i--) {
		if (mask & 1u << (i - 1))
			der_put(w, ekus[i - 1].der, EKU_DER_LEN);
	}
	der_put_head(w, DER_SEQUENCE, mark);
	/* RFC 3161 section 2.3: critical when it is the only one. */
	leaf_ext_wrap(w, oid_ext_key_usage, mask == 1u << EKU_TIME, mark);
}

/* An empty sequence: cA FALSE is the default, which DER leaves out. */
static void
put_basic_constraints(struct der_out *w)
{
	uint8_t *mark = der_mark(w);

	der_put_head(w, DER_SEQUENCE, mark);
	leaf_ext_wrap(w, oid_basic_constraints, true, mark);
}

/* SHA-1 over the key's bits: RFC 5280 section 4.2.1.2, method 1. */
static rc
key_id(struct span spki, uint8_t out[KEY_ID_LEN])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	struct der top, inner;
	struct span bits;
	bool bad = false;
	int ok;

	der_init(&top, spki, &bad);
	inner = der_enter(&top, DER_SEQUENCE);
	(void)der_take(&inner, DER_SEQUENCE); /* the algorithm counts not */
	bits = der_take_bits(&inner);
	der_end(&inner);
	der_end(&top);
	if (bad)
		return RC_INVALID;
	ok = EVP_Digest(bits.p, bits.len, digest, NULL, alg_md(ALG_SHA1), NULL);
	if (ok != 1)
		return RC_CRYPTO;
	memcpy(out, digest, KEY_ID_LEN);
	return RC_OK;
}

static rc
put_ski(struct der_out *w, struct span spki)
{
	uint8_t id[KEY_ID_LEN], *mark = der_mark(w);
	rc ret;

	ret = key_id(spki, id);
	if (ret != RC_OK)
		return ret;
	der_put_value(w, DER_OCTET_STRING, (struct span){id, sizeof(id)});
	leaf_ext_wrap(w, oid_ski, false, mark);
	return RC_OK;
}

static bool
url_ok(const char *url)
{
	size_t max = LEAF_CRL_URL_MAX + LEAF_CRL_KEY_MAX;
	size_t len = strnlen(url, max + 1);

	if (len < 1 || len > max)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (url[i] <= ' ' || url[i] >= 0x7f)
			return false;
	}
	return strstr(url, "://") != NULL;
}

/* RC_INVALID: too many, or one that is none. */
static rc
count_urls(const char *const *urls, size_t *out)
{
	size_t n = 0;

	for (; urls && urls[n]; n++) {
		if (n == LEAF_CRL_URLS_MAX || !url_ok(urls[n]))
			return RC_INVALID;
	}
	*out = n;
	return RC_OK;
}

static void
put_uri(struct der_out *w, const char *url)
{
	der_put_value(w, DER_CONTEXT | 6, span_of_text(url));
}

/* One DistributionPoint a URL. */
static rc
put_crl_points(struct der_out *w, const char *const *urls)
{
	uint8_t *mark = der_mark(w), *point;
	size_t n;
	rc ret;

	ret = count_urls(urls, &n);
	if (ret != RC_OK || n == 0)
		return ret;
	for (; n > 0; n--) {
		point = der_mark(w);
		put_uri(w, urls[n - 1]);
		der_put_head(w, DER_CONTEXT_CONS | 0, point); /* fullName */
		der_put_head(w, DER_CONTEXT_CONS | 0, point); /* name */
		der_put_head(w, DER_SEQUENCE, point);
	}
	der_put_head(w, DER_SEQUENCE, mark);
	leaf_ext_wrap(w, oid_crl_points, false, mark);
	return RC_OK;
}

/* One AccessDescription a URL: RFC 5280 section 4.2.2.1. */
static rc
put_ocsp_access(struct der_out *w, const char *const *urls)
{
	uint8_t *mark = der_mark(w), *access;
	size_t n;
	rc ret;

	ret = count_urls(urls, &n);
	if (ret != RC_OK || n == 0)
		return ret;
	for (; n > 0; n--) {
		access = der_mark(w);
		put_uri(w, urls[n - 1]);
		der_put_value(w, DER_OID, oid_access_ocsp);
		der_put_head(w, DER_SEQUENCE, access);
	}
	der_put_head(w, DER_SEQUENCE, mark);
	leaf_ext_wrap(w, oid_authority_access, false, mark);
	return RC_OK;
}

static void
put_must_staple(struct der_out *w)
{
	static const uint8_t status_request[] = {0x02, 0x01, 0x05};
	uint8_t *mark = der_mark(w);

	der_put(w, status_request, sizeof(status_request));
	der_put_head(w, DER_SEQUENCE, mark);
	leaf_ext_wrap(w, oid_tls_feature, false, mark);
}

/* Critical where the subject is empty: RFC 5280 section 4.2.1.6. */
static void
put_san(struct der_out *w, const struct csr *c)
{
	uint8_t *mark = der_mark(w);

	for (size_t i = c->nnames; i > 0; i--)
		name_put(w, &c->names[i - 1]);
	der_put_head(w, DER_SEQUENCE, mark);
	leaf_ext_wrap(w, oid_san, !c->leaf_common_name, mark);
}

static size_t
urls_room(const char *const *urls)
{
	size_t room = 32;

	for (size_t n = 0; urls && urls[n] && n < LEAF_CRL_URLS_MAX; n++)
		room +=
		    strnlen(urls[n], LEAF_CRL_URL_MAX + LEAF_CRL_KEY_MAX) + 32;
	return room;
}

size_t
leaf_ext_room(const struct leaf_spec *spec, struct span aki_ext)
{
	size_t room = 320 + aki_ext.len;

	for (size_t i = 0; i < spec->csr->nnames; i++)
		room += spec->csr->names[i].octets.len + 8;
	return room + urls_room(spec->crl_urls) + urls_room(spec->ocsp_urls);
}

rc
leaf_ext_put(struct der_out *w, const struct leaf_spec *spec,
    struct span aki_ext)
{
	uint8_t *mark = der_mark(w);
	unsigned mask;
	rc ret;

	ret = eku_mask(spec->ekus, &mask);
	if (ret != RC_OK)
		return ret;
	/* Backwards, as der_out writes. */
	if (spec->must_staple)
		put_must_staple(w);
	ret = put_ocsp_access(w, spec->ocsp_urls);
	if (ret == RC_OK)
		ret = put_crl_points(w, spec->crl_urls);
	if (ret != RC_OK)
		return ret;
	put_san(w, spec->csr);
	der_put_span(w, aki_ext);
	ret = put_ski(w, spec->csr->leaf_spki);
	if (ret != RC_OK)
		return ret;
	put_basic_constraints(w);
	put_eku(w, mask);
	put_key_usage(w, mask, spec->csr);
	der_put_head(w, DER_SEQUENCE, mark);
	der_put_head(w, DER_CONTEXT_CONS | 3, mark);
	return RC_OK;
}
