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
#include "common/pki/csr/csr.h"

/* chain_pem: the CA's certificate and those behind it; the last one is
 * trusted.  RC_INVALID with *out_why (arena) for people; RC_CRYPTO. */
rc ca_proof(struct arena *a, struct certbuild *b, const char *chain_pem,
    const char **out_why) MUST_CHECK;

/* What the name constraints of a chain let its leaves be called. */
struct ca_names; /* defined in ca_proof.c */

/* *out: NULL where there are none.  Free by ca_names_free (NULL: no-op). */
rc ca_names_new(const char *chain_pem, struct ca_names **out) MUST_CHECK;
void ca_names_free(struct ca_names *n);
/* RC_INVALID with *out_why (static): a leaf of that request would be refused.
 * n may be NULL. */
rc ca_names_allow(const struct ca_names *n, const struct csr *csr,
    const char **out_why) MUST_CHECK;

#endif
