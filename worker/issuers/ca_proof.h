/*
 * ca_proof: whether anybody would accept what a CA issues.
 *
 * A CA can be in order by itself and issue nothing valid all the same: its name
 * constraints, its extended key usages, its path length, weak keys or
 * signatures above it, a chain that does not lead anywhere.  So before a CA is
 * used, a throw-away leaf is made and verified as a TLS client would
 * (RFC 5280 section 6, by OpenSSL).
 */
#ifndef WORKER_ISSUERS_CA_PROOF_H
#define WORKER_ISSUERS_CA_PROOF_H

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/cert/certbuild.h"

/* chain_pem: the CA's certificate and those behind it; the last one is
 * trusted.  *out_until, Unix seconds: when the first of them ends, and with it
 * all that the CA issued.  RC_INVALID with *out_why (arena) for people;
 * RC_CRYPTO. */
rc ca_proof(struct arena *a, struct certbuild *b, const char *chain_pem,
    int64_t *out_until, const char **out_why) MUST_CHECK;

#endif
