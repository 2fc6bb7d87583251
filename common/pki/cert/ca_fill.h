/*
 * ca_fill: parts of a CA's certificate, of a root and of one below another.
 */
#ifndef COMMON_PKI_CERT_CA_FILL_H
#define COMMON_PKI_CERT_CA_FILL_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

/* False where OpenSSL refuses; its queue of errors is left. */

/* By chance, 20 octets. */
bool ca_fill_serial(X509 *x);
bool ca_fill_times(X509 *x, int64_t not_before_unix, int64_t not_after_unix);
/* As OpenSSL's configuration has it; issuer may be x itself. */
bool ca_fill_extension(X509 *x, X509 *issuer, int nid, const char *value);

#endif
