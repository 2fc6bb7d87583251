/*
 * crl_urls: where the revocation list of a key is, for the certificates that it
 * signs.
 */
#ifndef WORKER_ISSUERS_CRL_URLS_H
#define WORKER_ISSUERS_CRL_URLS_H

#include "common/base/arena.h"

/* The address of our own lists leads to that of the key, which is called list:
 * see ca_certificates.  Addresses elsewhere stay as they are.  urls is
 * NULL-terminated, or NULL. */
void crl_urls_name(struct arena *a, const char **urls, const char *issuer_id,
    const char *list);

#endif
