/*
 * fixture: keys and requests made by OpenSSL, for tests to hold ours against.
 *
 * Everything but keys lives in the arena.  A failure here ends the program.
 */
#ifndef TESTS_UNIT_COMMON_PKI_FIXTURE_H
#define TESTS_UNIT_COMMON_PKI_FIXTURE_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/pki/csr/csr.h"

/* "P-256", "P-384", "P-521", "secp256k1", "RSA:2048", "ED25519", "X25519".
 * Made once per program and kept: the caller does not free it. */
EVP_PKEY *fixture_key(const char *kind);

/* A name of the GeneralNames: type is GEN_DNS, GEN_EMAIL, GEN_URI, GEN_IPADD
 * or GEN_RID (value "1.2.3"), the bytes are taken as they are. */
struct fixture_san {
	int type;
	const char *bytes;
	size_t len; /* 0: strlen(bytes) */
};
struct fixture_attr {
	int nid;
	int type; /* V_ASN1_UTF8STRING, ... */
	const char *bytes;
	size_t len; /* 0: strlen(bytes) */
};

/* A request signed by the key; both lists end with a NULL text and may be
 * NULL.  The caller frees it. */
X509_REQ *fixture_req(EVP_PKEY *key, const struct fixture_attr *subject,
    const struct fixture_san *sans);
char *fixture_pem(struct arena *a, X509_REQ *req);
/* Both at once. */
char *fixture_csr(struct arena *a, EVP_PKEY *key,
    const struct fixture_attr *subject, const struct fixture_san *sans);
/* Common name and DNS names, the usual request. */
char *fixture_simple(struct arena *a, EVP_PKEY *key, const char *cn,
    const char *dns);
/* Bytes as PEM under this label. */
char *fixture_wrap(struct arena *a, const char *label, const uint8_t *der,
    size_t len);
/* A self-signed certificate; ext is a list of { nid, value } ending with 0,
 * in the syntax of openssl.cnf.  The caller frees it. */
struct fixture_ext {
	int nid;
	const char *value;
};
X509 *fixture_ca(EVP_PKEY *key, const char *cn, const struct fixture_ext *exts);
/* csr_parse, of text. */
rc fixture_parse(struct arena *a, const char *pem, struct csr *out,
    const char **out_why);

#endif
