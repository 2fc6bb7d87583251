/*
 * ca_limits: what a CA's leaves may be, by the certificates of its chain: their
 * names (name constraints) and what they are for (extended key usage).
 *
 * ca_proof finds a CA that can issue nothing; of one that can, a leaf beyond
 * its limits is as little worth, and is not made.
 */
#ifndef WORKER_ISSUERS_CA_LIMITS_H
#define WORKER_ISSUERS_CA_LIMITS_H

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/csr/csr.h"

struct ca_limits; /* defined in ca_limits.c */

/* *out: NULL where there are none.  Free by ca_limits_free (NULL: no-op). */
rc ca_limits_new(const char *chain_pem, struct ca_limits **out) MUST_CHECK;
void ca_limits_free(struct ca_limits *n);
/* RC_INVALID with *out_why (static): a leaf of that request and these usages
 * (NULL-terminated; NULL or none: those of a leaf by default) would be refused.
 * n may be NULL. */
rc ca_limits_allow(const struct ca_limits *n, const struct csr *csr,
    const char *const *ekus, const char **out_why) MUST_CHECK;

#endif
