/*
 * caa_records: whether a domain's CAA records let this CA issue (RFC 8659), to
 * this account and by this method (RFC 8657).
 */
#ifndef WORKER_ACME_CAA_RECORDS_H
#define WORKER_ACME_CAA_RECORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "worker/acme/dns.h"

struct caa_asked {
	const char *const *identities; /* names of this CA; NULL at the end */
	bool is_wildcard;
	const char *method; /* "http-01" */
	/* What an account's URL ends in, in either form that it has. */
	const char *const account_paths[2];
};

/* NULL, or why they forbid it, as "none of its issue records names this CA";
 * in the arena. */
const char *caa_forbids(struct arena *a, const struct dns_caa *records,
    size_t n, const struct caa_asked *asked);

#endif
