/*
 * ca_chain: the certificates of a CA's chain, read once.
 */
#ifndef WORKER_ISSUERS_CA_CHAIN_H
#define WORKER_ISSUERS_CA_CHAIN_H

#include <openssl/x509.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

#define CA_CHAIN_MAX 16

struct ca_chain {
	size_t n;
	X509 *certs[CA_CHAIN_MAX]; /* the CA first */
};

/* Of PEM.  RC_INVALID where there is none, or one that cannot be read.  Free
 * what is in *out by ca_chain_fini, whatever came back. */
rc ca_chain_read(struct arena *a, const char *pem,
    struct ca_chain *out) MUST_CHECK;
void ca_chain_fini(struct ca_chain *c);

#endif
