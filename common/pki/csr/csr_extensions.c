/*
 * The extensions that a request asks for (RFC 2985 section 5.4.2): its names,
 * and whether it wants what no certificate for a request is.
 *
 * Others are checked for their form only: the profile says what a certificate
 * carries.
 */
#include "common/base/attr.h"
#include "common/pki/asn1/der.h"
#include "common/pki/asn1/oid.h"
#include "common/pki/csr/csr_int.h"

/* Anything above is no request that a tool wrote. */
#define EXTENSIONS_MAX 32

/* Bits of the first octet of KeyUsage (RFC 5280 section 4.2.1.3). */
#define KEY_CERT_SIGN 0x04
#define CRL_SIGN 0x02

/* RFC 5280 section 4.2.1.9.  cA FALSE is left out in DER, but is written by
 * some. */
static void
read_basic_constraints(struct csr_reading *r, struct span value)
{
	struct der top, constraints;
	struct span is_ca = {0}, length;

	der_init(&top, value, &r->bad);
	constraints = der_enter(&top, DER_SEQUENCE);
	der_end(&top);
	if (der_peek(&constraints) == DER_BOOLEAN) {
		is_ca = der_take(&constraints, DER_BOOLEAN);
		if (!der_value_ok(DER_BOOLEAN, is_ca))
			r->bad = true;
	}
	if (der_more(&constraints)) {
		length = der_take(&constraints, DER_INTEGER);
		if (!der_value_ok(DER_INTEGER, length))
			r->bad = true;
	}
	der_end(&constraints);
	if (csr_going(r) && is_ca.len > 0 && is_ca.p[0] != 0)
		csr_refuse(r, "the request asks to be a CA (basicConstraints "
			      "CA:TRUE): leave that out, requests get "
			      "certificates of end entities only");
}

/* RFC 5280 section 4.2.1.3. */
static void
read_key_usage(struct csr_reading *r, struct span value)
{
	struct der top;
	struct span bits;

	der_init(&top, value, &r->bad);
	bits = der_take(&top, DER_BIT_STRING);
	der_end(&top);
	if (!der_value_ok(DER_BIT_STRING, bits))
		r->bad = true;
	if (csr_going(r) && bits.len > 1 &&
	    (bits.p[1] & (KEY_CERT_SIGN | CRL_SIGN)) != 0)
		csr_refuse(r, "the request asks for the key usage of a CA "
			      "(keyCertSign or cRLSign): leave that out");
}

static void
read_value(struct csr_reading *r, struct span type, struct span value)
{
	if (span_equal(type, oid_san))
		csr_read_sans(r, value);
	else if (span_equal(type, oid_basic_constraints))
		read_basic_constraints(r, value);
	else if (span_equal(type, oid_key_usage))
		read_key_usage(r, value);
}

static struct span
read_extension(struct csr_reading *r, struct der *exts, struct span *out_type)
{
	struct der ext = der_enter(exts, DER_SEQUENCE);
	struct span value;

	*out_type = der_take(&ext, DER_OID);
	if (der_peek(&ext) == DER_BOOLEAN) {
		struct span critical = der_take(&ext, DER_BOOLEAN);

		if (!der_value_ok(DER_BOOLEAN, critical))
			r->bad = true;
	}
	value = der_take(&ext, DER_OCTET_STRING);
	der_end(&ext);
	if (!der_value_ok(DER_OID, *out_type))
		r->bad = true;
	return value;
}

void
csr_read_extensions(struct csr_reading *r, struct der *exts)
{
	struct span types[EXTENSIONS_MAX], value;

	for (size_t n = 0; der_more(exts) && csr_going(r); n++) {
		if (n == EXTENSIONS_MAX) {
			csr_refuse(r,
			    "the request has more than 32 extensions");
			return;
		}
		value = read_extension(r, exts, &types[n]);
		for (size_t i = 0; csr_going(r) && i < n; i++) {
			if (span_equal(types[i], types[n]))
				csr_refuse(r, "the request has an extension "
					      "twice (RFC 5280 section 4.2)");
		}
		if (csr_going(r))
			read_value(r, types[n], value);
	}
}
