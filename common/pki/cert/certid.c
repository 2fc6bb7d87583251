#include "common/pki/cert/certid.h"

#include <string.h>

#include "common/base/enc.h"
#include "common/pki/asn1/der.h"
#include "common/pki/asn1/pem.h"

#define KEY_ID_MAX 64
#define SERIAL_MAX 20
#define TEXT_MAX 128

/* The content of an INTEGER as 40 digits. */
static rc
serial_of(struct span s, char out[41])
{
	if (!der_value_ok(DER_INTEGER, s) || s.p[0] >= 0x80)
		return RC_INVALID;
	if (s.p[0] == 0) /* the sign */
		s = (struct span){s.p + 1, s.len - 1};
	if (s.len == 0 || s.len > SERIAL_MAX)
		return RC_INVALID;
	memset(out, '0', 40);
	enc_hex(s.p, s.len, out + 40 - 2 * s.len);
	return RC_OK;
}

rc
certid_parse(struct arena *a, const char *text, struct certid *out)
{
	const char *dot = strchr(text, '.');
	struct span serial;
	uint8_t *bytes;
	rc ret;

	if (!dot || strlen(text) > TEXT_MAX)
		return RC_INVALID;
	ret = enc_unbase64url(a, text, (size_t)(dot - text), &bytes,
	    &out->issuer_key.len);
	if (ret != RC_OK)
		return ret;
	out->issuer_key.p = bytes;
	if (out->issuer_key.len == 0 || out->issuer_key.len > KEY_ID_MAX)
		return RC_INVALID;
	ret = enc_unbase64url(a, dot + 1, strlen(dot + 1), &bytes, &serial.len);
	if (ret != RC_OK)
		return ret;
	serial.p = bytes;
	return serial_of(serial, out->serial_hex);
}

/* The keyIdentifier of the extension, empty where there is none. */
static struct span
issuer_key_of(struct der *extensions)
{
	static const uint8_t oid[] = {0x55, 0x1d, 0x23}; /* 2.5.29.35 */
	struct span none = {oid, 0}, value, type;
	struct der extension, aki;
	bool bad = false;

	while (der_more(extensions)) {
		extension = der_enter(extensions, DER_SEQUENCE);
		type = der_take(&extension, DER_OID);
		if (!span_equal(type, (struct span){oid, sizeof(oid)}))
			continue;
		if (der_peek(&extension) == DER_BOOLEAN)
			(void)der_take(&extension, DER_BOOLEAN);
		value = der_take(&extension, DER_OCTET_STRING);
		der_init(&aki, value, &bad);
		aki = der_enter(&aki, DER_SEQUENCE);
		value = der_take(&aki, DER_CONTEXT | 0);
		return bad ? none : value;
	}
	return none;
}

rc
certid_of_pem(struct arena *a, const char *pem, struct certid *out)
{
	struct span leaf, serial;
	struct der top, tbs, extensions;
	bool bad = false;
	rc ret;

	ret = pem_read(a, "CERTIFICATE", pem, strlen(pem), &leaf, NULL);
	if (ret != RC_OK)
		return RC_INVALID;
	/* RFC 5280 section 4.1. */
	der_init(&top, leaf, &bad);
	top = der_enter(&top, DER_SEQUENCE);
	tbs = der_enter(&top, DER_SEQUENCE);
	(void)der_take(&tbs, DER_CONTEXT_CONS | 0);
	serial = der_take(&tbs, DER_INTEGER);
	for (unsigned i = 0; i < 5; i++) /* signature to subjectPublicKeyInfo */
		(void)der_take(&tbs, DER_SEQUENCE);
	while (der_more(&tbs) && der_peek(&tbs) != (DER_CONTEXT_CONS | 3))
		(void)der_take(&tbs, DER_ANY);
	extensions = der_enter(&tbs, DER_CONTEXT_CONS | 3);
	extensions = der_enter(&extensions, DER_SEQUENCE);
	out->issuer_key = issuer_key_of(&extensions);
	if (bad || out->issuer_key.len == 0)
		return RC_INVALID;
	return serial_of(serial, out->serial_hex);
}

bool
certid_equal(const struct certid *x, const struct certid *y)
{
	return span_equal(x->issuer_key, y->issuer_key) &&
	       strcmp(x->serial_hex, y->serial_hex) == 0;
}
