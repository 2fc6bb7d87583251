/*
 * The judge of revocation lists that CAs outside send, on any bytes: whatever
 * it takes is a list by the CA, of now, no older than the one that is served,
 * and is taken again.
 *
 * A mutated list is never signed by the CA again.  So the input is tried as it
 * came, and as what a signature is put on here.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/pki/cert/cert.h"
#include "common/pki/cert/crlresult.h"

#define NOW 1800000000 /* within the corpus's lists */
#define SERVED_NUMBER 5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static EVP_PKEY *key;
static const char *issued[1]; /* the CA itself, which it issued */

static void
must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_crlresult: %s\n", what);
		abort();
	}
}

static void
make_ca(struct arena *a)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	char *pem = NULL;

	key = EVP_EC_gen("P-256");
	must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
		 (const uint8_t *)"CA", -1, -1, 0) &&
		 X509_set_issuer_name(x, name) && X509_set_pubkey(x, key) &&
		 ASN1_INTEGER_set(X509_get_serialNumber(x), 1) &&
		 ASN1_TIME_set(X509_getm_notBefore(x), 0) &&
		 ASN1_TIME_set(X509_getm_notAfter(x), 2 * (time_t)NOW) &&
		 X509_sign(x, key, EVP_sha256()) > 0,
	    "no CA");
	must(cert_x509_pem(a, x, &pem) == RC_OK, "no PEM");
	issued[0] = pem;
	X509_free(x);
}

static void
check_taken(struct arena *a, const struct crlresult_rules *rules,
    const struct crlresult *r)
{
	const uint8_t *p = r->der.p;
	X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)r->der.len);
	struct crlresult again;
	const char *why = NULL;
	rc code;

	must(crl && p == r->der.p + r->der.len, "it is no list");
	must(X509_CRL_verify(crl, key) == 1, "not the CA's");
	must(r->next_update_unix > NOW, "it has ended");
	must(r->this_update_unix <= NOW + CRLRESULT_SKEW_S, "of the future");
	must(r->number >= SERVED_NUMBER, "an older one");
	must(X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) < 0, "a delta");
	X509_CRL_free(crl);
	code = crlresult_read(a, rules, (const char *)r->der.p, r->der.len,
	    &again, &why);
	must(code == RC_OK && again.number == r->number &&
		 (again.lacks != NULL) == (r->lacks != NULL),
	    "not taken again");
}

static void
judge(struct arena *a, const void *bytes, size_t len)
{
	static const struct crl_entry revoked[2] = {{{[19] = 5}, 1, 0},
	    {{[0] = 0x7f, [19] = 9}, 1, 0}};
	struct crlresult_rules rules = {.now_unix = NOW,
	    .issued = issued,
	    .nissued = 1,
	    .served_number = SERVED_NUMBER,
	    .served_next_update_unix = NOW + 1,
	    .revoked = revoked,
	    .nrevoked = 2};
	struct crlresult result;
	const char *why = NULL;
	struct cert_info info;
	X509 *x;
	rc code;

	must(cert_from_pem(issued[0], strlen(issued[0]), &x) == RC_OK &&
		 cert_read(a, x, &info) == RC_OK,
	    "no CA");
	X509_free(x);
	rules.served_ca = info.fingerprint_sha256;
	code = crlresult_read(a, &rules, bytes, len, &result, &why);
	if (code == RC_OK)
		check_taken(a, &rules, &result);
	else
		must(why != NULL && why[0], "no reason");
}

/* As the CA would have signed it, under its own name. */
static void
judge_signed(struct arena *a, const uint8_t *data, size_t size)
{
	const uint8_t *p = data;
	X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)size);
	X509 *x = NULL;
	unsigned char *der = NULL;
	int len;

	if (!crl)
		return;
	must(cert_from_pem(issued[0], strlen(issued[0]), &x) == RC_OK, "no CA");
	if (X509_CRL_set_issuer_name(crl, X509_get_subject_name(x)) &&
	    X509_CRL_sign(crl, key, EVP_sha256()) > 0) {
		len = i2d_X509_CRL(crl, &der);
		if (len > 0)
			judge(a, der, (size_t)len);
	}
	OPENSSL_free(der);
	X509_free(x);
	X509_CRL_free(crl);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *kept;
	struct arena *a = arena_new();

	if (!kept) {
		kept = arena_new();
		make_ca(kept);
	}
	judge(a, data, size);
	judge_signed(a, data, size);
	ERR_clear_error();
	arena_free(a);
	return 0;
}
