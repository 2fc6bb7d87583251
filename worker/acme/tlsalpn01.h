/*
 * tlsalpn01: the name by which a tls-alpn-01 validation asks a server.
 */
#ifndef WORKER_ACME_TLSALPN01_H
#define WORKER_ACME_TLSALPN01_H

#include "common/base/arena.h"

/* For SNI, which can't be an address: that as a name under in-addr.arpa or
 * ip6.arpa (RFC 8738, section 6), in the arena. */
const char *tlsalpn01_address_name(struct arena *a, const char *address);

#endif
