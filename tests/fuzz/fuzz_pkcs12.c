/*
 * Files made of any text that was stored as a certificate and its chain:
 * refused, or a file that OpenSSL opens with the password, with nothing but
 * those certificates in it.
 *
 * Input: an octet whose lowest bit chooses the ciphers, then the text.
 */
#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/arena.h"
#include "common/pki/cert/pkcs12.h"

#define PASSWORD "p\xc3\xa4ss"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_pkcs12: %s\n", what);
		abort();
	}
}

static void
check_file(struct span file)
{
	const unsigned char *p = file.p;
	PKCS12 *read = d2i_PKCS12(NULL, &p, (long)file.len);
	STACK_OF(X509) *certs = NULL;
	EVP_PKEY *key = NULL;
	X509 *leaf = NULL;

	must(read && p == file.p + file.len, "no file");
	must(PKCS12_verify_mac(read, PASSWORD, -1) == 1, "the MAC");
	must(PKCS12_verify_mac(read, "other", -1) != 1, "any password");
	must(PKCS12_parse(read, PASSWORD, &key, &leaf, &certs) == 1,
	    "not to be opened");
	must(!key && !leaf, "a key");
	must(sk_X509_num(certs) >= 1 && sk_X509_num(certs) <= PKCS12_CERTS_MAX,
	    "how many certificates");
	sk_X509_pop_free(certs, X509_free);
	PKCS12_free(read);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	struct span file = {0};
	rc ret;

	if (size > 0) {
		ret = pkcs12_make(a,
		    arena_strndup(a, (const char *)data + 1, size - 1),
		    PASSWORD, "demo",
		    data[0] & 1 ? PKCS12_LEGACY : PKCS12_MODERN, &file);
		must(ret == RC_OK || ret == RC_INVALID, "another answer");
		if (ret == RC_OK)
			check_file(file);
	}
	ERR_clear_error();
	arena_free(a);
	return 0;
}
