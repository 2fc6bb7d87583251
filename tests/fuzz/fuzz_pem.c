/*
 * Certificates and keys as PEM, from whoever sends them: no crash, and what
 * was read is what is written again.
 */
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/pki/cert/cert.h"
#include "common/pki/key/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_pem: %s\n", what);
		abort();
	}
}

static void
read_cert(struct arena *a, const char *text, size_t len)
{
	struct cert_info info, again;
	unsigned char *der = NULL;
	X509 *x = NULL, *y = NULL;
	char *pem;
	int n;
	rc code;

	code = cert_from_pem(text, len, &x);
	if (code != RC_OK)
		return;
	code = cert_read(a, x, &info);
	if (code == RC_OK) {
		must(strlen(info.serial_hex) == 40, "a serial of odd length");
		n = i2d_X509(x, &der);
		must(n > 0, "nothing to write");
		code = cert_to_pem(a, der, (size_t)n, &pem);
		must(code == RC_OK, "cannot be written");
		code = cert_from_pem(pem, strlen(pem), &y);
		must(code == RC_OK, "cannot be read again");
		code = cert_read(a, y, &again);
		must(code == RC_OK, "cannot be read again");
		must(strcmp(info.fingerprint_sha256,
			 again.fingerprint_sha256) == 0,
		    "another certificate");
	}
	OPENSSL_free(der);
	X509_free(y);
	X509_free(x);
}

static void
read_key(const char *text, size_t len)
{
	EVP_PKEY *key = NULL, *again = NULL;
	struct secret *pem = NULL;
	int size;
	rc code;

	code = key_from_pem(text, len, &key);
	if (code != RC_OK)
		return;
	must(key_algorithm(key, &size)[0], "a key of no kind");
	code = key_to_pem(key, &pem);
	/* Some broken keys can be read but not be written. */
	if (code == RC_OK) {
		code = key_from_pem(secret_bytes(pem), secret_len(pem), &again);
		if (code == RC_OK)
			must(EVP_PKEY_eq(key, again) == 1, "another key");
	}
	secret_free(pem);
	EVP_PKEY_free(again);
	EVP_PKEY_free(key);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();

	read_cert(a, (const char *)data, size);
	read_key((const char *)data, size);
	ERR_clear_error();
	arena_free(a);
	return 0;
}
