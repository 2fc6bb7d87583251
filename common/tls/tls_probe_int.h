/*
 * tls_probe_int: what the files of tls_probe know of each other.
 */
#ifndef COMMON_TLS_TLS_PROBE_INT_H
#define COMMON_TLS_TLS_PROBE_INT_H

#include <openssl/ssl.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/tls/tls_probe.h"

/* A client that takes any server; each SSL's app data is its struct
 * tls_probe_result.  NULL: OpenSSL has no more memory. */
SSL_CTX *tls_probe_ctx_new(void);
/* Version, cipher and chain of a handshake.  RC_INVALID: no chain, or it
 * can't be written as DER. */
rc tls_chain_read(SSL *ssl, struct tls_probe_result *r) MUST_CHECK;
void tls_chain_free(struct tls_probe_result *r);

#endif
