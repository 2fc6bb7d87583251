/*
 * buscert: TLS settings of the bus for nng, from the files of the bus's CA.
 *
 * Both sides must present a certificate of that CA.  nng speaks TLS through
 * mbedTLS here, TLS 1.2 at best; the dialling side also checks the name it
 * dials against the certificate's DNS names (mbedTLS 2.28 does not look at
 * IP addresses in a certificate: give the address as a DNS name as well).
 */
#ifndef COMMON_BUS_BUSCERT_H
#define COMMON_BUS_BUSCERT_H

#include <stdbool.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/bus/bus.h"

struct nng_tls_config;

/*
 * The caller frees *out with nng_tls_config_free.  host is what the dialler
 * checks, NULL on the listening side.  RC_INVALID: a file is missing,
 * unreadable, open to others (the key) or not what it should be; logged.
 * RC_NOT_IMPLEMENTED: this nng was built without TLS.
 */
rc buscert_load(const struct bus_tls *files, const char *host,
    struct nng_tls_config **out) MUST_CHECK;

/* Copies of the texts, each NULL where it is; files may be NULL. */
void buscert_files_copy(const struct bus_tls *files, struct bus_tls *out);
void buscert_files_free(struct bus_tls *copy);

#endif
