/*
 * The writer of PKCS#10 requests.
 */
#include "common/pki/csr/csr.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>
#include <strings.h>

#include "common/pki/key/alg.h"
#include "common/pki/asn1/der.h"
#include "common/pki/asn1/name.h"
#include "common/pki/asn1/oid.h"
#include "common/pki/asn1/pem.h"

/* RFC 5280 appendix A: ub-common-name.  A longer name stands in the
 * alternative names only. */
#define COMMON_NAME_MAX 64
#define SIG_MAX 2048

struct request {
	struct arena *a;
	EVP_PKEY *key;
	const struct alg_sig *alg;
	const char *common_name; /* "" when none goes into the subject */
	const char **names;      /* all alternative names */
	size_t nnames;
};

static struct span
span_of_text(const char *s)
{
	return (struct span){(const uint8_t *)s, strlen(s)};
}

static rc
put_name(struct der_out *w, const char *text)
{
	static const uint8_t tags[] =
	    {[SAN_EMAIL] = 1, [SAN_DNS] = 2, [SAN_URI] = 6, [SAN_IP] = 7};
	enum san_type type;
	struct span value;
	uint8_t addr[16];
	size_t addr_len = 0;

	type = name_classify(text, addr, &addr_len);
	value =
	    type == SAN_IP ? (struct span){addr, addr_len} : span_of_text(text);
	if (type != SAN_IP && name_refuse_san(type, text, value.len))
		return RC_INVALID;
	der_put_value(w, (uint8_t)(DER_CONTEXT | tags[type]), value);
	return RC_OK;
}

/* attributes [0] { extensionRequest { { subjectAltName } } } */
static rc
put_attributes(struct der_out *w, const struct request *r)
{
	static const uint8_t yes = 0xff;
	uint8_t *attrs = der_mark(w), *names;
	rc ret;

	if (r->nnames > 0) {
		names = der_mark(w);
		for (size_t i = r->nnames; i > 0; i--) {
			ret = put_name(w, r->names[i - 1]);
			if (ret != RC_OK)
				return ret;
		}
		der_put_head(w, DER_SEQUENCE, names);
		der_put_head(w, DER_OCTET_STRING, names);
		if (!r->common_name[0])
			der_put_value(w, DER_BOOLEAN, (struct span){&yes, 1});
		der_put_value(w, DER_OID, oid_san);
		der_put_head(w, DER_SEQUENCE, names);
		der_put_head(w, DER_SEQUENCE, names);
		der_put_head(w, DER_SET, names);
		der_put_value(w, DER_OID, oid_extension_request);
		der_put_head(w, DER_SEQUENCE, names);
	}
	der_put_head(w, DER_CONTEXT_CONS | 0, attrs);
	return RC_OK;
}

static void
put_subject(struct der_out *w, const char *common_name)
{
	uint8_t *name = der_mark(w);

	if (common_name[0]) {
		der_put_value(w, DER_UTF8, span_of_text(common_name));
		der_put_value(w, DER_OID, oid_common_name);
		der_put_head(w, DER_SEQUENCE, name);
		der_put_head(w, DER_SET, name);
	}
	der_put_head(w, DER_SEQUENCE, name);
}

static rc
put_info(struct der_out *w, const struct request *r)
{
	static const uint8_t version = 0;
	uint8_t *info = der_mark(w), *spki = NULL;
	int spki_len;
	rc ret;

	ret = put_attributes(w, r);
	if (ret != RC_OK)
		return ret;
	spki_len = i2d_PUBKEY(r->key, &spki);
	if (spki_len <= 0) {
		ERR_clear_error();
		return RC_CRYPTO;
	}
	der_put(w, spki, (size_t)spki_len);
	OPENSSL_free(spki);
	put_subject(w, r->common_name);
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

/* The alternative names, and the common name where it names a host. */
static void
gather(struct request *r, const char *cn, const char *const *sans, size_t nsans)
{
	uint8_t addr[16];
	size_t addr_len;
	enum san_type type;
	bool listed = false;

	r->names = arena_alloc(r->a, (nsans + 1) * sizeof(*r->names));
	for (size_t i = 0; i < nsans; i++) {
		r->names[r->nnames++] = sans[i];
		listed = listed || strcasecmp(sans[i], cn) == 0;
	}
	if (listed || !cn[0])
		return;
	type = name_classify(cn, addr, &addr_len);
	if (type != SAN_IP && name_refuse_san(type, cn, strlen(cn)))
		return; /* a person's or a device's name */
	memmove(r->names + 1, r->names, r->nnames * sizeof(*r->names));
	r->names[0] = cn;
	r->nnames++;
}

rc
csr_make(struct arena *a, EVP_PKEY *key, const char *common_name,
    const char *const *sans, size_t nsans, char **out_pem)
{
	struct request r = {.a = a, .key = key};
	const char *cn = common_name ? common_name : "";
	size_t cap = 4096;

	if (nsans > CSR_NAMES_MAX)
		return RC_INVALID;
	r.alg = alg_sig_for(key);
	if (!r.alg)
		return RC_INVALID;
	if (cn[0] && name_refuse_common_name(cn, strlen(cn)))
		return RC_INVALID;
	gather(&r, cn, sans, nsans);
	r.common_name = strlen(cn) <= COMMON_NAME_MAX ? cn : "";
	if (!r.common_name[0] && r.nnames == 0)
		return RC_INVALID;
	for (size_t i = 0; i < r.nnames; i++)
		cap += 2 * (strlen(r.names[i]) + 16);
	cap += 2 * (size_t)EVP_PKEY_get_size(key) + SIG_MAX;
	return build(&r, arena_alloc(a, cap), cap, out_pem);
}
