/*
 * wake: tells when it is worth to look again, by the server's live events
 * (docs/reference/events.md).
 *
 * What an event says is not read: it may be of anything that the filter fits,
 * and a look shows what became of it.  A heartbeat, a reset and a stream that
 * begins or breaks count as well, for something may have been missed.
 */
#ifndef CLI_WAKE_H
#define CLI_WAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"

struct wake;

/* filter: the query of /api/v1/events, "kind=job", kept as a copy.  Uses c, and
 * nothing is sent before wake_wait. */
struct wake *wake_new(struct cli *c, const char *filter);
void wake_free(struct wake *w); /* NULL is fine */
/* Waits until something came, at most so long.  False: nothing did. */
bool wake_wait(struct wake *w, int64_t ms);
/* Until the server listens for us or will not, at most so long. */
void wake_begin(struct wake *w, int64_t ms);
/* Whether events come now; without, only looking helps: the stream is broken,
 * the server is older than events, or the key may not have them. */
bool wake_is_live(const struct wake *w);

#endif
