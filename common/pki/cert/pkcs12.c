#include "common/pki/cert/pkcs12.h"

#include <string.h>

#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include "common/pki/asn1/pem.h"

#define LABEL "CERTIFICATE"
/* As OpenSSL's own command does; the password's strength is its owner's. */
enum { ITERATIONS = 2048 };

/* The certificates of pem; both are the caller's to free. */
static rc
read_chain(struct arena *a, const char *pem, X509 **out_leaf,
    STACK_OF(X509) * rest)
{
	struct span left = {(const uint8_t *)pem, strlen(pem)}, der;
	const unsigned char *p;
	X509 *cert;
	int n = 0;
	rc ret;

	while (n <= PKCS12_CERTS_MAX) {
		ret = pem_read(a, LABEL, (const char *)left.p, left.len, &der,
		    &left);
		if (ret == RC_NOT_FOUND)
			return n > 0 ? RC_OK : RC_INVALID;
		if (ret != RC_OK)
			return ret;
		p = der.p;
		cert = d2i_X509(NULL, &p, (long)der.len);
		if (!cert || p != der.p + der.len) {
			X509_free(cert);
			return RC_INVALID;
		}
		if (n++ == 0) {
			*out_leaf = cert;
		} else if (!sk_X509_push(rest, cert)) {
			X509_free(cert);
			return RC_INTERNAL;
		}
	}
	return RC_INVALID;
}

static rc
write_file(struct arena *a, X509 *leaf, STACK_OF(X509) * rest,
    const char *password, const char *name, enum pkcs12_ciphers ciphers,
    struct span *out)
{
	bool is_legacy = ciphers == PKCS12_LEGACY;
	/* Without a MAC: its digest is not PKCS12_create's to choose. */
	PKCS12 *file = PKCS12_create(password, name, NULL, leaf, rest, -1,
	    is_legacy ? NID_pbe_WithSHA1And3_Key_TripleDES_CBC
		      : NID_aes_256_cbc,
	    ITERATIONS, -1, 0);
	uint8_t *der = NULL, *copy;
	int len = -1;

	if (file && PKCS12_set_mac(file, password, -1, NULL, 0, ITERATIONS,
			is_legacy ? EVP_sha1() : EVP_sha256()))
		len = i2d_PKCS12(file, &der);
	PKCS12_free(file);
	if (len < 0)
		return RC_INTERNAL;
	copy = arena_alloc(a, (size_t)len);
	memcpy(copy, der, (size_t)len);
	OPENSSL_free(der);
	*out = (struct span){copy, (size_t)len};
	return RC_OK;
}

rc
pkcs12_make(struct arena *a, const char *pem, const char *password,
    const char *name, enum pkcs12_ciphers ciphers, struct span *out)
{
	STACK_OF(X509) *rest = sk_X509_new_null();
	X509 *leaf = NULL;
	rc ret = RC_INTERNAL;

	if (rest)
		ret = read_chain(a, pem, &leaf, rest);
	if (ret == RC_OK)
		ret = write_file(a, leaf, rest, password, name, ciphers, out);
	X509_free(leaf);
	sk_X509_pop_free(rest, X509_free);
	return ret;
}
