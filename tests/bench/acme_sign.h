/*
 * acme_sign: signatures and requests for certificates of the ACME driver.
 */
#ifndef TESTS_BENCH_ACME_SIGN_H
#define TESTS_BENCH_ACME_SIGN_H

#include "acme_flow.h"

/* The caller frees what is returned; NULL: out of memory, or OpenSSL failed. */
char *acme_b64url(const void *p, size_t len);
/* A flattened JWS (RFC 7515) over payload ("" for POST-as-GET), by the
 * account's kid, or its public key while it has none. */
char *acme_jws(const struct acme_account *a, const char *url, const char *nonce,
    const char *payload);
/* Coordinates and thumbprint of a->key. */
bool acme_account_describe(struct acme_account *a);
/* A fresh P-256 key's request for one name, base64url of its DER. */
char *acme_csr(const char *type, const char *value);

#endif
