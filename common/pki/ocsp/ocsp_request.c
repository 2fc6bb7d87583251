#include "common/pki/ocsp/ocsp_request.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/pki/asn1/der.h"
#include "common/pki/asn1/oid.h"

#define SERIAL_BYTES 20
#define CERT_ID_ROOM 128

/* AlgorithmIdentifiers of digests; without parameters too (RFC 5754). */
static const struct digest {
	const char *der;
	size_t len;
	enum alg_md md;
} digests[] = {
    {"\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00", 11, ALG_SHA1},
    {"\x30\x07\x06\x05\x2b\x0e\x03\x02\x1a", 9, ALG_SHA1},
    {"\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00", 15,
	ALG_SHA256},
    {"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01", 13, ALG_SHA256},
};

static enum alg_md
find_digest(struct span der)
{
	for (size_t i = 0; i < ARRAY_LEN(digests); i++) {
		if (der.len == digests[i].len &&
		    memcmp(der.p, digests[i].der, der.len) == 0)
			return digests[i].md;
	}
	return ALG_MD_NONE;
}

/* Negative, zero or longer than RFC 5280 allows: none that we gave. */
static void
read_serial(struct span s, char out[41])
{
	uint8_t bytes[SERIAL_BYTES] = {0};

	out[0] = '\0';
	if (s.len == 0 || s.p[0] >= 0x80)
		return;
	while (s.len > 0 && s.p[0] == 0) {
		s.p++;
		s.len--;
	}
	if (s.len == 0 || s.len > SERIAL_BYTES)
		return;
	memcpy(bytes + SERIAL_BYTES - s.len, s.p, s.len);
	enc_hex(bytes, SERIAL_BYTES, out);
}

/* Marks d bad where it is none. */
static void
take_id(struct der *d, struct ocsp_id *out)
{
	struct span serial, alg;
	struct der inner, whole, parts;

	out->whole = der_take_whole(d, DER_SEQUENCE);
	der_init(&whole, out->whole, d->bad);
	inner = der_enter(&whole, DER_SEQUENCE);
	alg = der_take_whole(&inner, DER_SEQUENCE);
	der_init(&parts, alg, d->bad);
	parts = der_enter(&parts, DER_SEQUENCE);
	if (!der_value_ok(DER_OID, der_take(&parts, DER_OID)))
		*d->bad = true;
	if (der_more(&parts)) { /* ANY */
		uint8_t tag = der_peek(&parts);

		if (!der_value_ok(tag, der_take(&parts, DER_ANY)))
			*d->bad = true;
	}
	der_end(&parts);
	out->md = find_digest(alg);
	out->name_hash = der_take(&inner, DER_OCTET_STRING);
	out->key_hash = der_take(&inner, DER_OCTET_STRING);
	serial = der_take(&inner, DER_INTEGER);
	if (!der_value_ok(DER_INTEGER, serial))
		*d->bad = true;
	der_end(&inner);
	read_serial(serial, out->serial_hex);
}

rc
ocsp_id_parse(struct span der, struct ocsp_id *out)
{
	bool bad = false;
	struct der d;

	der_init(&d, der, &bad);
	take_id(&d, out);
	der_end(&d);
	return bad ? RC_INVALID : RC_OK;
}

/* The octets of RFC 8954's Nonce, an OCTET STRING inside of the extension's. */
static void
read_nonce(struct span value, struct ocsp_request *out)
{
	bool bad = false;
	struct der d;

	der_init(&d, value, &bad);
	out->nonce = der_take(&d, DER_OCTET_STRING);
	der_end(&d);
	if (bad || out->nonce.len < 1 || out->nonce.len > OCSP_NONCE_MAX) {
		out->is_nonce_malformed = true;
		out->nonce.len = 0;
	}
}

/* Extensions in their explicit tag; out: whose nonce is wanted, or NULL. */
static void
take_extensions(struct der *d, uint8_t tag, struct ocsp_request *out,
    bool is_whole_requests)
{
	struct der tagged, list, ext;
	struct span oid, value, critical;
	bool is_critical, has_nonce = false;

	if (der_peek(d) != tag)
		return;
	tagged = der_enter(d, tag);
	list = der_enter(&tagged, DER_SEQUENCE);
	while (der_more(&list)) {
		ext = der_enter(&list, DER_SEQUENCE);
		oid = der_take(&ext, DER_OID);
		if (!der_value_ok(DER_OID, oid))
			*d->bad = true;
		is_critical = false;
		if (der_peek(&ext) == DER_BOOLEAN) {
			critical = der_take(&ext, DER_BOOLEAN);
			if (!der_value_ok(DER_BOOLEAN, critical))
				*d->bad = true;
			is_critical = critical.len == 1 && critical.p[0];
		}
		value = der_take(&ext, DER_OCTET_STRING);
		der_end(&ext);
		if (*d->bad)
			return;
		if (is_whole_requests && span_equal(oid, oid_ocsp_nonce)) {
			read_nonce(value, out);
			/* Two of them: which is to be repeated? */
			if (has_nonce)
				out->is_nonce_malformed = true;
			has_nonce = true;
		} else if (is_critical) {
			out->has_unknown_critical = true;
		}
	}
	der_end(&tagged);
}

static void
take_request(struct der *list, struct ocsp_request *out, struct ocsp_id *id)
{
	struct der one = der_enter(list, DER_SEQUENCE);

	take_id(&one, id);
	take_extensions(&one, DER_CONTEXT_CONS | 0, out, false);
	der_end(&one);
}

/* Version 1, which DER leaves out, and a name: neither changes an answer.
 * true: there is a name. */
static bool
skip_head(struct der *tbs)
{
	struct span version;
	struct der tagged;

	if (der_peek(tbs) == (DER_CONTEXT_CONS | 0)) {
		tagged = der_enter(tbs, DER_CONTEXT_CONS | 0);
		version = der_take(&tagged, DER_INTEGER);
		der_end(&tagged);
		if (version.len != 1 || version.p[0] != 0)
			*tbs->bad = true;
	}
	if (der_peek(tbs) != (DER_CONTEXT_CONS | 1))
		return false;
	(void)der_take(tbs, DER_CONTEXT_CONS | 1);
	return true;
}

/* What is read over here is rare, so OpenSSL may judge it. */
static bool
is_request(struct span der)
{
	const uint8_t *p = der.p;
	OCSP_REQUEST *q = d2i_OCSP_REQUEST(NULL, &p, (long)der.len);
	bool is_whole = q && p == der.p + der.len;

	OCSP_REQUEST_free(q);
	ERR_clear_error();
	return is_whole;
}

rc
ocsp_request_parse(struct arena *a, struct span der, struct ocsp_request *out)
{
	struct ocsp_id *ids = arena_alloc(a, OCSP_IDS_MAX * sizeof(*ids));
	struct der top, whole, tbs, list;
	bool bad = false, is_too_large = false, has_rest = false;

	*out = (struct ocsp_request){.ids = ids};
	der_init(&top, der, &bad);
	whole = der_enter(&top, DER_SEQUENCE);
	der_end(&top);
	tbs = der_enter(&whole, DER_SEQUENCE);
	if (der_peek(&whole) == (DER_CONTEXT_CONS | 0)) { /* signature */
		(void)der_take(&whole, DER_CONTEXT_CONS | 0);
		has_rest = true;
	}
	der_end(&whole);
	has_rest = skip_head(&tbs) || has_rest;
	list = der_enter(&tbs, DER_SEQUENCE);
	while (der_more(&list) && !is_too_large) {
		if (out->n == OCSP_IDS_MAX) {
			is_too_large = true;
			break;
		}
		take_request(&list, out, &ids[out->n]);
		is_too_large = ids[out->n].whole.len > OCSP_CERT_ID_MAX;
		out->n++;
	}
	if (is_too_large && !bad)
		return RC_TOO_LARGE;
	take_extensions(&tbs, DER_CONTEXT_CONS | 2, out, true);
	der_end(&tbs);
	if (bad || out->n == 0 || (has_rest && !is_request(der)))
		return RC_INVALID;
	return RC_OK;
}

/* --- the CA --- */

static bool
digest(struct span s, enum alg_md md, uint8_t *out)
{
	return EVP_Digest(s.p, s.len, out, NULL, alg_md(md), NULL) == 1;
}

rc
ocsp_ca_read(const X509 *ca, struct ocsp_ca *out)
{
	const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(ca);
	unsigned char *der = NULL;
	int len = i2d_X509_NAME(X509_get_subject_name(ca), &der);
	struct span name, key;
	bool done;

	if (len < 1 || !bits) {
		OPENSSL_free(der);
		return RC_CRYPTO;
	}
	name = (struct span){der, (size_t)len};
	key = (struct span){ASN1_STRING_get0_data(bits),
	    (size_t)ASN1_STRING_length(bits)};
	done = digest(name, ALG_SHA1, out->name_sha1) &&
	       digest(key, ALG_SHA1, out->key_sha1) &&
	       digest(name, ALG_SHA256, out->name_sha256) &&
	       digest(key, ALG_SHA256, out->key_sha256);
	OPENSSL_free(der);
	return done ? RC_OK : RC_CRYPTO;
}

bool
ocsp_ca_is(const struct ocsp_ca *ca, const struct ocsp_id *id)
{
	struct span name, key;

	switch (id->md) {
	case ALG_SHA1:
		name = (struct span){ca->name_sha1, sizeof(ca->name_sha1)};
		key = (struct span){ca->key_sha1, sizeof(ca->key_sha1)};
		break;
	case ALG_SHA256:
		name = (struct span){ca->name_sha256, sizeof(ca->name_sha256)};
		key = (struct span){ca->key_sha256, sizeof(ca->key_sha256)};
		break;
	default:
		return false;
	}
	return span_equal(name, id->name_hash) && span_equal(key, id->key_hash);
}

rc
ocsp_ca_cert_id(struct arena *a, const struct ocsp_ca *ca,
    const char *serial_hex, struct span *out)
{
	uint8_t bytes[SERIAL_BYTES + 1] = {0}, *mark;
	struct der_out w;
	size_t at = 1;
	rc ret;

	if (strlen(serial_hex) != 2 * SERIAL_BYTES)
		return RC_INVALID;
	ret = enc_unhex(serial_hex, bytes + 1, SERIAL_BYTES);
	if (ret != RC_OK)
		return ret;
	while (at < SERIAL_BYTES && bytes[at] == 0)
		at++;
	if (bytes[at] >= 0x80)
		at--; /* the sign octet, zero */
	der_out_init(&w, arena_alloc(a, CERT_ID_ROOM), CERT_ID_ROOM);
	mark = der_mark(&w);
	der_put_value(&w, DER_INTEGER,
	    (struct span){bytes + at, sizeof(bytes) - at});
	der_put_value(&w, DER_OCTET_STRING,
	    (struct span){ca->key_sha1, sizeof(ca->key_sha1)});
	der_put_value(&w, DER_OCTET_STRING,
	    (struct span){ca->name_sha1, sizeof(ca->name_sha1)});
	der_put(&w, digests[0].der, digests[0].len);
	der_put_head(&w, DER_SEQUENCE, mark);
	*out = der_out_span(&w);
	return RC_OK;
}
