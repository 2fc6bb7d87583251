#include "common/pki/cert/certbuild.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/pki/asn1/der.h"
#include "common/pki/asn1/name.h"
#include "common/pki/asn1/oid.h"
#include "common/pki/cert/cert.h"
#include "common/pki/cert/leaf_ext.h"
#include "common/pki/key/alg.h"
#include "common/pki/key/key.h"

#define SERIAL_BYTES 20
#define AKI_ROOM 128
#define SIG_MAX 1024 /* RSA of 8192 bits */

struct certbuild {
	X509 *ca;
	EVP_PKEY *key;
	/* Set up once: half of a small signature's cost. */
	EVP_PKEY_CTX *signer;
	const struct alg_sig *alg;
	uint8_t *issuer_der; /* OPENSSL_malloc */
	struct span issuer;
	uint8_t aki_room[AKI_ROOM];
	struct span aki; /* a whole Extension, in aki_room */
};

static rc
load_issuer(struct certbuild *b)
{
	int len = i2d_X509_NAME(X509_get_subject_name(b->ca), &b->issuer_der);

	if (len < 1)
		return RC_CRYPTO;
	b->issuer = (struct span){b->issuer_der, (size_t)len};
	return b->issuer.len > 2 ? RC_OK : RC_INVALID; /* 2: no name */
}

/* The CA's own identifier as it stands; a CA without one is given RFC 5280's
 * first method, which verifiers compute themselves. */
static rc
ca_key_id(X509 *ca, uint8_t computed[20], struct span *out)
{
	const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(ca);
	const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(ca);
	uint8_t digest[EVP_MAX_MD_SIZE];
	int ok;

	if (ski) {
		*out = (struct span){ASN1_STRING_get0_data(ski),
		    (size_t)ASN1_STRING_length(ski)};
		return RC_OK;
	}
	ok = EVP_Digest(ASN1_STRING_get0_data(bits),
	    (size_t)ASN1_STRING_length(bits), digest, NULL, alg_md(ALG_SHA1),
	    NULL);
	if (ok != 1)
		return RC_CRYPTO;
	memcpy(computed, digest, 20);
	*out = (struct span){computed, 20};
	return RC_OK;
}

static rc
load_aki(struct certbuild *b)
{
	struct der_out w;
	struct span id;
	uint8_t computed[20], *mark;
	rc ret;

	ret = ca_key_id(b->ca, computed, &id);
	if (ret != RC_OK)
		return ret;
	der_out_init(&w, b->aki_room, sizeof(b->aki_room));
	mark = der_mark(&w);
	der_put_value(&w, DER_CONTEXT | 0, id);
	der_put_head(&w, DER_SEQUENCE, mark);
	leaf_ext_wrap(&w, oid_aki, false, mark);
	b->aki = der_out_span(&w);
	return b->aki.len > 0 ? RC_OK : RC_INVALID;
}

static bool
can_sign_certificates(X509 *ca, EVP_PKEY *key)
{
	const char *algorithm;
	int size;

	if (X509_check_ca(ca) != 1)
		return false;
	/* Without the extension every use is allowed: all bits are set. */
	if ((X509_get_key_usage(ca) & KU_KEY_CERT_SIGN) == 0)
		return false;
	if (X509_check_private_key(ca, key) != 1)
		return false;
	algorithm = key_algorithm(key, &size);
	if (strcmp(algorithm, ALG_RSA) == 0)
		return size >= ALG_RSA_BITS_MIN && size <= ALG_RSA_BITS_MAX;
	return strcmp(algorithm, ALG_ECDSA) == 0 &&
	       (size == 256 || size == 384);
}

static rc
load_signer(struct certbuild *b)
{
	int ok;

	b->alg = alg_sig_for(b->key);
	b->signer = EVP_PKEY_CTX_new_from_pkey(NULL, b->key, NULL);
	if (!b->alg || !b->signer)
		return RC_CRYPTO;
	ok = EVP_PKEY_sign_init(b->signer);
	if (ok == 1 && EVP_PKEY_is_a(b->key, "RSA"))
		ok = EVP_PKEY_CTX_set_rsa_padding(b->signer, RSA_PKCS1_PADDING);
	if (ok == 1)
		ok = EVP_PKEY_CTX_set_signature_md(b->signer,
		    alg_md(b->alg->md));
	return ok == 1 ? RC_OK : RC_CRYPTO;
}

static rc
sign(struct certbuild *b, struct span tbs, uint8_t *sig, size_t *sig_len)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len;
	int ok;

	ok = EVP_Digest(tbs.p, tbs.len, digest, &len, alg_md(b->alg->md), NULL);
	if (ok == 1)
		ok = EVP_PKEY_sign(b->signer, sig, sig_len, digest, len);
	if (ok != 1) {
		ERR_clear_error();
		return RC_CRYPTO;
	}
	return RC_OK;
}

/* One signature that the CA's certificate must verify: a private key whose
 * public part was only claimed is found here, not by a million clients. */
static rc
probe(struct certbuild *b)
{
	static const uint8_t text[] = "certctl";
	uint8_t sig[SIG_MAX];
	size_t len = sizeof(sig);
	EVP_MD_CTX *ctx;
	rc ret;
	int ok = 0;

	ret = sign(b, (struct span){text, sizeof(text)}, sig, &len);
	if (ret != RC_OK)
		return ret;
	ctx = EVP_MD_CTX_new();
	if (ctx)
		ok = EVP_DigestVerifyInit(ctx, NULL, alg_md(b->alg->md), NULL,
		    X509_get0_pubkey(b->ca));
	if (ok == 1)
		ok = EVP_DigestVerify(ctx, sig, len, text, sizeof(text));
	EVP_MD_CTX_free(ctx);
	return ok == 1 ? RC_OK : RC_INVALID;
}

rc
certbuild_new(X509 *ca, EVP_PKEY *key, struct certbuild **out)
{
	struct certbuild *b;
	rc ret = RC_INVALID;

	if (can_sign_certificates(ca, key)) {
		b = mem_zalloc(sizeof(*b));
		b->ca = ca;
		b->key = key;
		(void)X509_up_ref(ca); /* only fails on a broken count */
		(void)EVP_PKEY_up_ref(key);
		ret = load_issuer(b);
		if (ret == RC_OK)
			ret = load_aki(b);
		if (ret == RC_OK)
			ret = load_signer(b);
		if (ret == RC_OK)
			ret = probe(b);
		if (ret == RC_OK)
			*out = b;
		else
			certbuild_free(b);
	}
	ERR_clear_error();
	return ret;
}

void
certbuild_free(struct certbuild *b)
{
	if (!b)
		return;
	EVP_PKEY_CTX_free(b->signer);
	OPENSSL_free(b->issuer_der);
	EVP_PKEY_free(b->key);
	X509_free(b->ca);
	free(b);
}

struct certbuild_issuer
certbuild_issuer(const struct certbuild *b)
{
	return (struct certbuild_issuer){
	    .name = b->issuer,
	    .alg = b->alg->der,
	    .aki_ext = b->aki,
	    /* Without the extension all bits are set. */
	    .may_sign_crls = (X509_get_key_usage(b->ca) & KU_CRL_SIGN) != 0,
	};
}

static rc
put_validity(struct der_out *w, const struct leaf_spec *spec)
{
	uint8_t *mark = der_mark(w);

	if (spec->not_after_unix <= spec->not_before_unix ||
	    !der_put_time(w, spec->not_after_unix) ||
	    !der_put_time(w, spec->not_before_unix))
		return RC_INVALID;
	der_put_head(w, DER_SEQUENCE, mark);
	return RC_OK;
}

/* A positive INTEGER of at most 20 octets: RFC 5280 4.1.2.2. */
static rc
put_serial(struct der_out *w, const char *serial_hex)
{
	uint8_t bytes[SERIAL_BYTES];
	size_t at = 0;
	rc ret;

	ret = enc_unhex(serial_hex, bytes, sizeof(bytes));
	if (ret != RC_OK)
		return ret;
	while (at < sizeof(bytes) && bytes[at] == 0)
		at++;
	if (at == sizeof(bytes))
		return RC_INVALID; /* zero */
	if (bytes[at] >= 0x80) {
		if (at == 0)
			return RC_INVALID; /* would take 21 octets */
		at--;                      /* the sign octet, zero */
	}
	der_put_value(w, DER_INTEGER,
	    (struct span){bytes + at, sizeof(bytes) - at});
	return RC_OK;
}

rc
certbuild_put_head(struct der_out *w, const struct certbuild_issuer *ca,
    const char *serial_hex)
{
	static const uint8_t version_3[] = {0xa0, 0x03, 0x02, 0x01, 0x02};
	rc ret;

	der_put_span(w, ca->name);
	der_put_span(w, ca->alg);
	ret = put_serial(w, serial_hex);
	der_put(w, version_3, sizeof(version_3));
	return ret;
}

static rc
put_tbs(struct certbuild *b, struct der_out *w, const struct leaf_spec *spec)
{
	const struct certbuild_issuer ca = certbuild_issuer(b);
	uint8_t *mark = der_mark(w);
	rc ret;

	/* Backwards, as der_out writes. */
	ret = leaf_ext_put(w, spec, b->aki);
	if (ret != RC_OK)
		return ret;
	der_put_span(w, spec->csr->leaf_spki);
	name_put_subject(w, spec->csr->leaf_common_name);
	ret = put_validity(w, spec);
	if (ret != RC_OK)
		return ret;
	ret = certbuild_put_head(w, &ca, spec->serial_hex);
	if (ret != RC_OK)
		return ret;
	der_put_head(w, DER_SEQUENCE, mark);
	return RC_OK;
}

rc
certbuild_tbs(struct certbuild *b, struct arena *a,
    const struct leaf_spec *spec, struct span *out_tbs)
{
	size_t room = 256 + b->issuer.len + CSR_COMMON_NAME_MAX +
		      spec->csr->leaf_spki.len + leaf_ext_room(spec, b->aki);
	struct der_out w;
	rc ret;

	der_out_init(&w, arena_alloc(a, room), room);
	ret = put_tbs(b, &w, spec);
	if (ret != RC_OK)
		return ret;
	if (w.failed)
		return RC_INTERNAL; /* leaf_ext_room is wrong */

	*out_tbs = der_out_span(&w);
	return RC_OK;
}

rc
certbuild_sign(struct certbuild *b, struct arena *a, struct span tbs,
    struct span *out_der)
{
	size_t sig_len = SIG_MAX, room;
	uint8_t sig[SIG_MAX], *mark;
	struct der_out w;
	rc ret;

	ret = sign(b, tbs, sig, &sig_len);
	if (ret != RC_OK)
		return ret;
	room = tbs.len + sig_len + 64;
	der_out_init(&w, arena_alloc(a, room), room);
	mark = der_mark(&w);
	der_put(&w, sig, sig_len);
	der_put_byte(&w, 0); /* unused bits */
	der_put_head(&w, DER_BIT_STRING, mark);
	der_put_span(&w, b->alg->der);
	der_put_span(&w, tbs);
	der_put_head(&w, DER_SEQUENCE, mark);
	if (w.failed)
		return RC_INTERNAL;

	*out_der = der_out_span(&w);
	return RC_OK;
}
