/*
 * acmecounts: what this process was asked as an ACME server, and what became
 * of it, for the metrics.
 *
 * Counted while the server is switched off, too: then all is refused.  Event
 * loop only.
 */
#ifndef APISERVER_LIVE_ACMECOUNTS_H
#define APISERVER_LIVE_ACMECOUNTS_H

#include "apiserver/edge/render_acme.h"
#include "common/base/buf.h"

/* COUNT(name, label). */
#define ACME_LIMITS(COUNT) \
	COUNT(ADDRESS, "address") \
	COUNT(CHALLENGES, "challenge_responses") \
	COUNT(KEY_CHANGES, "key_changes") \
	COUNT(OPEN_ORDERS, "concurrent_orders") \
	COUNT(ORDERS, "orders")
#define ACME_NONCE_FAULTS(COUNT) \
	COUNT(EXPIRED, "expired") \
	COUNT(FORGOTTEN, "forgotten") \
	COUNT(MISSING, "missing") \
	COUNT(UNKNOWN, "unknown") \
	COUNT(USED, "used")

/* Which of the limits refused a request. */
enum acme_limit {
#define COUNT(name, label) ACME_LIMIT_##name,
	ACME_LIMITS(COUNT)
#undef COUNT
	    ACME_NLIMITS
};

/* Why a nonce was refused. */
enum acme_nonce_fault {
#define COUNT(name, label) ACME_NONCE_##name,
	ACME_NONCE_FAULTS(COUNT)
#undef COUNT
	    ACME_NNONCE_FAULTS
};

struct acmecounts; /* defined in acmecounts.c */

struct acmecounts *acmecounts_new(void);
/* NULL is a no-op. */
void acmecounts_free(struct acmecounts *c);

/* --- NULL is a no-op: not kept, as in tests --- */

/* An answer.  pattern: its route's, NULL: there is none; error: ACME_NERRORS
 * for none. */
void acmecounts_note(struct acmecounts *c, const char *pattern,
    enum acme_error error);
void acmecounts_note_nonce(struct acmecounts *c);
void acmecounts_note_bad_nonce(struct acmecounts *c, enum acme_nonce_fault why);
void acmecounts_note_limit(struct acmecounts *c, enum acme_limit which);

/* Appends the families in Prometheus' text format. */
void acmecounts_write(const struct acmecounts *c, struct buf *out);

#endif
