#include "common/pki/ocsp/ocsp_responder.h"

#include <openssl/x509.h>
#include <string.h>

#include "common/pki/asn1/der.h"
#include "common/pki/asn1/name.h"
#include "common/pki/asn1/oid.h"
#include "common/pki/cert/leaf_ext.h"

#define FIXED_ROOM 512

/* keyUsage: digitalSignature alone; extKeyUsage: OCSPSigning alone. */
static void
put_extensions(struct der_out *w, const struct certbuild_issuer *ca)
{
	static const uint8_t usage[] = {DER_BIT_STRING, 2, 7, 0x80};
	static const uint8_t purpose[] = {DER_SEQUENCE, 10, DER_OID, 8, 0x2b, 6,
	    1, 5, 5, 7, 3, 9};
	static const uint8_t null[] = {DER_NULL, 0};
	uint8_t *all = der_mark(w), *mark = all;

	der_put(w, null, sizeof(null));
	leaf_ext_wrap(w, oid_ocsp_nocheck, false, mark);
	der_put_span(w, ca->aki_ext);
	mark = der_mark(w);
	der_put(w, purpose, sizeof(purpose));
	leaf_ext_wrap(w, oid_ext_key_usage, false, mark);
	mark = der_mark(w);
	der_put(w, usage, sizeof(usage));
	leaf_ext_wrap(w, oid_key_usage, true, mark);
	der_put_head(w, DER_SEQUENCE, all);
	der_put_head(w, DER_CONTEXT_CONS | 3, all);
}

static rc
put_tbs(struct der_out *w, const struct certbuild_issuer *ca,
    const struct ocsp_responder_spec *spec, struct span spki)
{
	uint8_t *mark = der_mark(w), *times;
	rc ret;

	put_extensions(w, ca);
	der_put_span(w, spki);
	name_put_subject(w, spec->common_name);
	times = der_mark(w);
	if (spec->not_after_unix <= spec->not_before_unix ||
	    !der_put_time(w, spec->not_after_unix) ||
	    !der_put_time(w, spec->not_before_unix))
		return RC_INVALID;
	der_put_head(w, DER_SEQUENCE, times);
	ret = certbuild_put_head(w, ca, spec->serial_hex);
	if (ret != RC_OK)
		return ret;
	der_put_head(w, DER_SEQUENCE, mark);
	return RC_OK;
}

rc
ocsp_responder_make(struct certbuild *b, struct arena *a,
    const struct ocsp_responder_spec *spec, struct span *out_der)
{
	struct certbuild_issuer ca = certbuild_issuer(b);
	unsigned char *spki = NULL;
	int len = i2d_PUBKEY(spec->key, &spki);
	struct der_out w;
	size_t room;
	rc ret;

	if (len < 1)
		return RC_CRYPTO;
	room = FIXED_ROOM + ca.name.len + ca.aki_ext.len + (size_t)len +
	       strlen(spec->common_name);
	der_out_init(&w, arena_alloc(a, room), room);
	ret = put_tbs(&w, &ca, spec, (struct span){spki, (size_t)len});
	OPENSSL_free(spki);
	if (ret != RC_OK)
		return ret;
	return w.failed ? RC_INTERNAL
			: certbuild_sign(b, a, der_out_span(&w), out_der);
}
