/*
 * latency: how long the answers of each route took, in fixed buckets.
 *
 * A route has a number (route.h), and a note is an addition or three in its
 * row.  An answer that nobody waited for any more is noted too.  Event loop
 * only.
 */
#ifndef APISERVER_LIVE_LATENCY_H
#define APISERVER_LIVE_LATENCY_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

struct latency; /* defined in latency.c */

/* For the numbers 0 to nroutes; 0 is what met no route. */
struct latency *latency_new(size_t nroutes);
void latency_free(struct latency *l);
/* method and pattern outlive l.  us: from the whole head to the answer; a clock
 * that was set back counts as 0. */
void latency_note(struct latency *l, size_t number, const char *method,
    const char *pattern, int status, int64_t us);
/* Appends the histograms and the counts by status of each route that was asked,
 * in Prometheus' text format. */
void latency_write(const struct latency *l, struct buf *out);

#endif
