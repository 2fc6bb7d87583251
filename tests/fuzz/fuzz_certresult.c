/*
 * The judge of what CAs outside send, on any bytes: whatever it takes is the
 * certificate of the request, and is taken again as it was written.
 *
 * Input: DER (a first octet of 0x30), which is wrapped here, or text.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/cert/certresult.h"

#define NOW 1800000000 /* within the corpus's certificates */

/* demo.example, 127.0.0.1, a@demo.example, spiffe://d/x */
static const char request[] =
    "-----BEGIN CERTIFICATE REQUEST-----\n"
    "MIIBIDCBxwIBADAXMRUwEwYDVQQDDAxkZW1vLmV4YW1wbGUwWTATBgcqhkjOPQIB\n"
    "BggqhkjOPQMBBwNCAASQ1sj+8HO3Ocy5qM4c7E93YB24netIys3AsRY5QBA7N+QQ\n"
    "VdBoq/XF4LcbM11BIausv1GLE8Hobcn1yskFM7JWoE4wTAYJKoZIhvcNAQkOMT8w\n"
    "PTA7BgNVHREENDAyggxkZW1vLmV4YW1wbGWHBH8AAAGBDmFAZGVtby5leGFtcGxl\n"
    "hgxzcGlmZmU6Ly9kL3gwCgYIKoZIzj0EAwIDSAAwRQIhANAGBCJP2yr/Bx3FJsJK\n"
    "HR76tGq4eGQjYn5xelmQfvk+AiA1p0+cIBU+t9U3jJCwGjpAkSk4dvctimsCX0Ax\n"
    "2M9pTA==\n"
    "-----END CERTIFICATE REQUEST-----\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_certresult: %s\n", what);
		abort();
	}
}

static void
check_taken(struct arena *a, const struct certresult_rules *rules,
    const struct certresult *r)
{
	const char *serial = NULL, *why = NULL, *text;
	const uint8_t *p = rules->csr->spki.p;
	struct certresult again;
	EVP_PKEY *key;
	X509 *x;
	rc code;

	code = cert_from_pem(r->leaf_pem, strlen(r->leaf_pem), &x);
	must(code == RC_OK, "the leaf is none");
	key = d2i_PUBKEY(NULL, &p, (long)rules->csr->spki.len);
	must(cert_match_key(x, key) == RC_OK, "another key");
	must(X509_check_host(x, "demo.example", 0, 0, NULL) == 1,
	    "another name");
	must(X509_check_host(x, "somebody.example", 0, 0, NULL) != 1,
	    "a name too many");
	must((X509_get_extension_flags(x) & EXFLAG_CA) == 0, "a CA");
	EVP_PKEY_free(key);
	X509_free(x);
	text = arena_printf(a, "%s%s", r->leaf_pem, r->chain_pem);
	code = certresult_read(a, rules, text, strlen(text), &again, &serial,
	    &why);
	must(code == RC_OK, "not taken again");
	must(strcmp(again.leaf_pem, r->leaf_pem) == 0, "another leaf");
	must(strcmp(again.chain_pem, r->chain_pem) == 0, "another chain");
	must(strcmp(serial, r->info.serial_hex) == 0, "another serial");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {data, size};
	const char *text = (const char *)data, *why = NULL, *serial = NULL;
	struct arena *a = arena_new();
	struct certresult_rules rules = {.now_unix = NOW};
	struct certresult result;
	struct csr csr;
	size_t len = size;
	rc code;

	code = csr_parse(a, request, strlen(request), &csr, &why);
	must(code == RC_OK, "no request");
	why = NULL;
	rules.csr = &csr;
	if (size > 0 && data[0] == 0x30) {
		text = pem_write(a, "CERTIFICATE", in);
		len = strlen(text);
	}
	code = certresult_read(a, &rules, text, len, &result, &serial, &why);
	must(serial != NULL, "no serial");
	if (code == RC_OK)
		check_taken(a, &rules, &result);
	else
		must(why != NULL && why[0], "no reason");
	ERR_clear_error();
	arena_free(a);
	return 0;
}
