/*
 * The writer of PKCS#10 requests.
 */
#include "common/pki/csr/csr.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

#include "common/pki/asn1/der.h"
#include "common/pki/asn1/name.h"
#include "common/pki/asn1/oid.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/key/alg.h"

#define SIG_MAX 2048

struct request {
	struct arena *a;
	EVP_PKEY *key;
	const struct alg_sig *alg;
	const char *common_name; /* NULL: the subject is empty */
	struct san *names;       /* each once */
	size_t nnames;
};

/* attributes [0] { extensionRequest { { subjectAltName } } } */
static void
put_attributes(struct der_out *w, const struct request *r)
{
	static const uint8_t yes = 0xff;
	uint8_t *attrs = der_mark(w), *names;

	if (r->nnames > 0) {
		names = der_mark(w);
		for (size_t i = r->nnames; i > 0; i--)
			name_put(w, &r->names[i - 1]);
		der_put_head(w, DER_SEQUENCE, names);
		der_put_head(w, DER_OCTET_STRING, names);
		if (!r->common_name)
			der_put_value(w, DER_BOOLEAN, (struct span){&yes, 1});
		der_put_value(w, DER_OID, oid_san);
		der_put_head(w, DER_SEQUENCE, names);
		der_put_head(w, DER_SEQUENCE, names);
		der_put_head(w, DER_SET, names);
		der_put_value(w, DER_OID, oid_extension_request);
		der_put_head(w, DER_SEQUENCE, names);
	}
	der_put_head(w, DER_CONTEXT_CONS | 0, attrs);
}

static rc
put_info(struct der_out *w, const struct request *r)
{
	static const uint8_t version = 0;
	uint8_t *info = der_mark(w), *spki = NULL;
	int spki_len;

	put_attributes(w, r);
	spki_len = i2d_PUBKEY(r->key, &spki);
	if (spki_len <= 0) {
		ERR_clear_error();
		return RC_CRYPTO;
	}
	der_put(w, spki, (size_t)spki_len);
	OPENSSL_free(spki);
	name_put_subject(w, r->common_name);
	der_put_value(w, DER_INTEGER, (struct span){&version, 1});
	der_put_head(w, DER_SEQUENCE, info);
	return RC_OK;
}

static rc
sign(const struct request *r, struct span info, uint8_t *sig, size_t *len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = 0;

	if (ctx)
		ok = EVP_DigestSignInit(ctx, NULL, alg_md(r->alg->md), NULL,
		    r->key);
	if (ok == 1)
		ok = EVP_DigestSign(ctx, sig, len, info.p, info.len);
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok == 1 ? RC_OK : RC_CRYPTO;
}

static rc
build(const struct request *r, uint8_t *room, size_t cap, char **out_pem)
{
	uint8_t sig[SIG_MAX];
	size_t sig_len = sizeof(sig);
	struct der_out w;
	struct span info;
	uint8_t *bits, *whole;
	rc ret;

	/* The signed part first, in the lower half; then all of it. */
	der_out_init(&w, room, cap / 2);
	ret = put_info(&w, r);
	if (ret != RC_OK)
		return ret;
	info = der_out_span(&w);
	if (info.len == 0)
		return RC_TOO_LARGE;
	ret = sign(r, info, sig, &sig_len);
	if (ret != RC_OK)
		return ret;

	der_out_init(&w, room + cap / 2, cap - cap / 2);
	bits = whole = der_mark(&w);
	der_put(&w, sig, sig_len);
	der_put_byte(&w, 0);
	der_put_head(&w, DER_BIT_STRING, bits);
	der_put_span(&w, r->alg->der);
	der_put_span(&w, info);
	der_put_head(&w, DER_SEQUENCE, whole);
	if (w.failed)
		return RC_TOO_LARGE;
	*out_pem = pem_write(r->a, "CERTIFICATE REQUEST", der_out_span(&w));
	return RC_OK;
}

/* The common name first, then the others, each once. */
static rc
gather(struct request *r, const char *cn, const char *const *sans, size_t nsans)
{
	struct san name;

	r->names = arena_alloc(r->a, (nsans + 1) * sizeof(r->names[0]));
	for (size_t i = 0; i <= nsans; i++) {
		const char *text = i == 0 ? cn : sans[i - 1];

		if (!text || (i == 0 && !*text))
			continue;
		if (name_read(r->a, text, &name))
			return RC_INVALID;
		if (!name_find(r->names, r->nnames, &name))
			r->names[r->nnames++] = name;
		if (i == 0 && strlen(name.text) <= CSR_COMMON_NAME_MAX)
			r->common_name = name.text;
	}
	return r->nnames > 0 && r->nnames <= CSR_NAMES_MAX ? RC_OK : RC_INVALID;
}

rc
csr_make(struct arena *a, EVP_PKEY *key, const char *common_name,
    const char *const *sans, size_t nsans, char **out_pem)
{
	struct request r = {.a = a, .key = key};
	size_t cap = 4096;
	rc ret;

	r.alg = alg_sig_for(key);
	if (!r.alg || nsans > CSR_NAMES_MAX)
		return RC_INVALID;
	ret = gather(&r, common_name, sans, nsans);
	if (ret != RC_OK)
		return ret;
	for (size_t i = 0; i < r.nnames; i++)
		cap += 2 * (r.names[i].octets.len + 16);
	cap += 2 * (size_t)EVP_PKEY_get_size(key) + SIG_MAX;
	return build(&r, arena_alloc(a, cap), cap, out_pem);
}
