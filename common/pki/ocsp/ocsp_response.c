#include "common/pki/ocsp/ocsp_response.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/pki/asn1/der.h"
#include "common/pki/asn1/oid.h"
#include "common/pki/cert/cert.h"
#include "common/pki/cert/leaf_ext.h"
#include "common/pki/key/alg.h"
#include "common/pki/key/key.h"

#define KEY_HASH_LEN 20
#define SIG_MAX 256    /* ECDSA of 521 bits */
#define SINGLE_ROOM 96 /* beside its CertID */
#define FIXED_ROOM 512
#define END_ROOM 16

struct ocsp_signer {
	X509 *cert;
	EVP_PKEY *key;
	EVP_PKEY_CTX *signer; /* set up once, as certbuild's */
	const struct alg_sig *alg;
	uint8_t *end; /* the certificate as answers have it */
	size_t end_len;
	uint8_t key_hash[KEY_HASH_LEN];
};

void
ocsp_error(enum ocsp_error status, uint8_t out[OCSP_ERROR_LEN])
{
	const uint8_t der[OCSP_ERROR_LEN] = {0x30, 0x03, DER_ENUMERATED, 1,
	    (uint8_t)status};

	memcpy(out, der, sizeof(der));
}

/* --- the responder --- */

/* certs [0] EXPLICIT SEQUENCE OF Certificate, the last member. */
static rc
write_end(struct ocsp_signer *s)
{
	unsigned char *cert = NULL;
	int len = i2d_X509(s->cert, &cert);
	struct der_out w;
	uint8_t *mark;

	if (len < 1)
		return RC_CRYPTO;
	s->end = mem_zalloc((size_t)len + END_ROOM);
	der_out_init(&w, s->end, (size_t)len + END_ROOM);
	mark = der_mark(&w);
	der_put(&w, cert, (size_t)len);
	der_put_head(&w, DER_SEQUENCE, mark);
	der_put_head(&w, DER_CONTEXT_CONS | 0, mark);
	OPENSSL_free(cert);
	if (w.failed)
		return RC_INTERNAL;
	s->end_len = der_out_span(&w).len;
	memmove(s->end, der_out_span(&w).p, s->end_len);
	return RC_OK;
}

static rc
load(struct ocsp_signer *s)
{
	const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(s->cert);
	int ok;
	rc ret;

	ret = write_end(s);
	if (ret != RC_OK)
		return ret;
	s->alg = alg_sig_for(s->key);
	s->signer = EVP_PKEY_CTX_new_from_pkey(NULL, s->key, NULL);
	if (!s->alg || !s->signer)
		return RC_CRYPTO;
	ok = EVP_PKEY_sign_init(s->signer);
	if (ok == 1)
		ok = EVP_PKEY_CTX_set_signature_md(s->signer,
		    alg_md(s->alg->md));
	if (ok == 1)
		ok = EVP_Digest(ASN1_STRING_get0_data(bits),
		    (size_t)ASN1_STRING_length(bits), s->key_hash, NULL,
		    alg_md(ALG_SHA1), NULL);
	return ok == 1 ? RC_OK : RC_CRYPTO;
}

rc
ocsp_signer_new(X509 *cert, EVP_PKEY *key, struct ocsp_signer **out)
{
	struct ocsp_signer *s;
	int size;
	rc ret;

	if (strcmp(key_algorithm(key, &size), ALG_ECDSA) != 0)
		return RC_INVALID;
	ret = cert_match_key(cert, key);
	if (ret != RC_OK)
		return ret;
	s = mem_zalloc(sizeof(*s));
	s->cert = cert;
	s->key = key;
	(void)X509_up_ref(cert); /* only fails on a broken count */
	(void)EVP_PKEY_up_ref(key);
	ret = load(s);
	ERR_clear_error();
	if (ret != RC_OK) {
		ocsp_signer_free(s);
		return ret;
	}

	*out = s;
	return RC_OK;
}

void
ocsp_signer_free(struct ocsp_signer *s)
{
	if (!s)
		return;
	EVP_PKEY_CTX_free(s->signer);
	free(s->end);
	EVP_PKEY_free(s->key);
	X509_free(s->cert);
	free(s);
}

struct span
ocsp_signer_end(const struct ocsp_signer *s)
{
	return (struct span){s->end, s->end_len};
}

static rc
sign(struct ocsp_signer *s, struct span tbs, uint8_t *sig, size_t *sig_len)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len;
	int ok;

	ok = EVP_Digest(tbs.p, tbs.len, digest, &len, alg_md(s->alg->md), NULL);
	if (ok == 1)
		ok = EVP_PKEY_sign(s->signer, sig, sig_len, digest, len);
	if (ok != 1) {
		ERR_clear_error();
		return RC_CRYPTO;
	}
	return RC_OK;
}

/* --- the answer: backwards, as der_out writes --- */

static bool
put_status(struct der_out *w, const struct ocsp_single *one)
{
	uint8_t *mark = der_mark(w), *tagged;

	switch (one->status) {
	case OCSP_GOOD:
		der_put_head(w, DER_CONTEXT | 0, mark);
		return true;
	case OCSP_UNKNOWN:
		der_put_head(w, DER_CONTEXT | 2, mark);
		return true;
	case OCSP_REVOKED:
		break;
	}
	if (one->reason != 0) {
		tagged = der_mark(w);
		der_put_value(w, DER_ENUMERATED,
		    (struct span){&one->reason, 1});
		der_put_head(w, DER_CONTEXT_CONS | 0, tagged);
	}
	if (!der_put_generalized_time(w, one->revoked_at_unix))
		return false;
	der_put_head(w, DER_CONTEXT_CONS | 1, mark);
	return true;
}

static bool
put_single(struct der_out *w, const struct ocsp_spec *spec,
    const struct ocsp_single *one)
{
	uint8_t *mark = der_mark(w);

	if (!der_put_generalized_time(w, spec->next_update_unix))
		return false;
	der_put_head(w, DER_CONTEXT_CONS | 0, mark);
	if (!der_put_generalized_time(w, spec->this_update_unix) ||
	    !put_status(w, one))
		return false;
	der_put_span(w, one->cert_id);
	der_put_head(w, DER_SEQUENCE, mark);
	return true;
}

static void
put_nonce(struct der_out *w, struct span nonce)
{
	uint8_t *mark = der_mark(w);

	der_put_value(w, DER_OCTET_STRING, nonce);
	leaf_ext_wrap(w, oid_ocsp_nonce, false, mark);
	der_put_head(w, DER_SEQUENCE, mark);
	der_put_head(w, DER_CONTEXT_CONS | 1, mark);
}

static rc
put_tbs(struct der_out *w, const struct ocsp_signer *s,
    const struct ocsp_spec *spec)
{
	uint8_t *mark = der_mark(w), *start;

	if (spec->nonce.len > 0)
		put_nonce(w, spec->nonce);
	start = der_mark(w);
	for (size_t i = spec->n; i > 0; i--) {
		if (!put_single(w, spec, &spec->singles[i - 1]))
			return RC_INVALID;
	}
	der_put_head(w, DER_SEQUENCE, start);
	if (!der_put_generalized_time(w, spec->this_update_unix))
		return RC_INVALID;
	start = der_mark(w);
	der_put_value(w, DER_OCTET_STRING,
	    (struct span){s->key_hash, sizeof(s->key_hash)});
	der_put_head(w, DER_CONTEXT_CONS | 2, start); /* byKey */
	der_put_head(w, DER_SEQUENCE, mark);
	return RC_OK;
}

/* Around what was signed. */
static void
put_response(struct der_out *w, const struct ocsp_signer *s, struct span tbs,
    struct span sig)
{
	static const uint8_t successful = 0;
	uint8_t *mark = der_mark(w), *bits;

	der_put(w, s->end, s->end_len);
	bits = der_mark(w);
	der_put_span(w, sig);
	der_put_byte(w, 0); /* unused bits */
	der_put_head(w, DER_BIT_STRING, bits);
	der_put_span(w, s->alg->der);
	der_put_span(w, tbs);
	der_put_head(w, DER_SEQUENCE, mark); /* BasicOCSPResponse */
	der_put_head(w, DER_OCTET_STRING, mark);
	der_put_value(w, DER_OID, oid_ocsp_basic);
	der_put_head(w, DER_SEQUENCE, mark);
	der_put_head(w, DER_CONTEXT_CONS | 0, mark);
	der_put_value(w, DER_ENUMERATED, (struct span){&successful, 1});
	der_put_head(w, DER_SEQUENCE, mark);
}

rc
ocsp_sign(struct ocsp_signer *s, struct arena *a, const struct ocsp_spec *spec,
    struct span *out_der)
{
	size_t room = FIXED_ROOM + spec->nonce.len, sig_len = SIG_MAX;
	uint8_t sig[SIG_MAX];
	struct der_out w;
	struct span tbs;
	rc ret;

	if (spec->n == 0 || spec->next_update_unix <= spec->this_update_unix)
		return RC_INVALID;
	for (size_t i = 0; i < spec->n; i++)
		room += spec->singles[i].cert_id.len + SINGLE_ROOM;
	der_out_init(&w, arena_alloc(a, room), room);
	ret = put_tbs(&w, s, spec);
	if (ret != RC_OK)
		return ret;
	if (w.failed)
		return RC_INTERNAL; /* the room is wrong */
	tbs = der_out_span(&w);
	ret = sign(s, tbs, sig, &sig_len);
	if (ret != RC_OK)
		return ret;
	room = FIXED_ROOM + tbs.len + s->end_len;
	der_out_init(&w, arena_alloc(a, room), room);
	put_response(&w, s, tbs, (struct span){sig, sig_len});
	if (w.failed)
		return RC_INTERNAL;

	*out_der = der_out_span(&w);
	return RC_OK;
}
