/*
 * alpn_cert: whether a certificate is what a tls-alpn-01 challenge asks for
 * (RFC 8737, section 3; for addresses RFC 8738, section 6).
 */
#ifndef WORKER_ACME_ALPN_CERT_H
#define WORKER_ACME_ALPN_CERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct alpn_wanted {
	bool is_address; /* name is one */
	const char *name;
	const uint8_t *digest; /* 32 bytes, of the key authorization */
};

/* NULL, or what is wrong with it, as "it is not self-signed".  Static text. */
const char *alpn_cert_fault(const uint8_t *der, size_t len,
    const struct alpn_wanted *wanted);

#endif
