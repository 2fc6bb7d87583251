/*
 * fuzz_jwk: keys as JSON.  What is taken is a key that OpenSSL takes, and the
 * way over SubjectPublicKeyInfo leads back to it.  Bytes that begin as DER are
 * read as a SubjectPublicKeyInfo.
 */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/jose/jwk.h"
#include "common/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool claim)
{
	if (!claim)
		abort();
}

static void
check_key(struct arena *a, const struct jwk *k)
{
	const struct jwk *again = NULL;
	uint8_t *der = NULL;
	const uint8_t *p = k->key.spki.p;
	EVP_PKEY *key;
	int len;

	must(strlen(k->thumbprint) == 43);
	must(jwk_from_pem(a, jwk_pem(a, k), &again) == RC_OK);
	must(strcmp(k->thumbprint, again->thumbprint) == 0);
	must(span_equal(k->key.spki, again->key.spki));
	if (pubkey_check(&k->key) != RC_OK)
		return; /* of a SubjectPublicKeyInfo: beside its curve */
	key = d2i_PUBKEY(NULL, &p, (long)k->key.spki.len);
	must(key != NULL);
	len = i2d_PUBKEY(key, &der);
	must(len > 0 &&
	     span_equal(k->key.spki, (struct span){der, (size_t)len}));
	OPENSSL_free(der);
	EVP_PKEY_free(key);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	struct jose_refusal refusal = {0};
	const struct jwk *k = NULL;
	const struct cJSON *v;
	const char *why;
	rc ret;

	if (size > 0 && data[0] == 0x30) {
		ret = jwk_from_spki(a, (struct span){data, size}, &k);
		if (ret == RC_OK)
			check_key(a, k);
	} else if (json_parse(a, (const char *)data, size, &v, &why) == RC_OK) {
		ret = jwk_read(a, v, &k, &refusal);
		must((ret == RC_OK) == (k != NULL));
		must((ret == RC_OK) == (refusal.why == NULL));
		if (ret == RC_OK) {
			must(pubkey_check(&k->key) == RC_OK);
			check_key(a, k);
		}
	}
	ERR_clear_error();
	arena_free(a);
	return 0;
}
