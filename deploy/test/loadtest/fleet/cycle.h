/*
 * cycle: one renewal of each certificate, from due to served, in the times at
 * which its agent came to each point.
 *
 * A certificate has one target.  Of each point the first time counts; a
 * second job for the same certificate is counted as renewed again.
 */
#ifndef FLEET_CYCLE_H
#define FLEET_CYCLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "deploy/test/loadtest/fleet/tally.h"

enum cycle_point {
	CYCLE_DUE,      /* asked for, or become due */
	CYCLE_OFFERED,  /* the agent was given the waiting job */
	CYCLE_CSR,      /* its CSR was taken */
	CYCLE_ISSUED,   /* the agent was given the deployment */
	CYCLE_SERVED,   /* a handshake showed the new certificate, twice */
	CYCLE_REPORTED, /* the server has it */
	CYCLE_POINTS
};

struct cycles; /* defined in cycle.c */

struct cycles *cycles_new(void);
/* NULL is a no-op. */
void cycles_free(struct cycles *c);
/* One id a line, each once, 1,000,000 at most; RC_INVALID, RC_IO with
 * *out_why, a static text. */
rc cycles_read(struct cycles *c, const char *path,
    const char **out_why) MUST_CHECK;
size_t cycles_count(const struct cycles *c);
/* The i-th id as it was read. */
const char *cycles_id(const struct cycles *c, size_t i);
/* All that are not due yet are, as of then. */
void cycles_all_due(struct cycles *c, int64_t at_us);
/* at_us > 0.  job: whose work it is; NULL where that is not known.  Of an id
 * that was not read only the number of such calls is kept. */
void cycles_reach(struct cycles *c, const char *id, const char *job,
    enum cycle_point point, int64_t at_us);
/* How many came to that point, between the two as samples of out. */
size_t cycles_reached(const struct cycles *c, enum cycle_point point);
void cycles_measure(const struct cycles *c, enum cycle_point from,
    enum cycle_point to, struct samples *out);
/* Certificates that were given a second job, and work for unread ids. */
size_t cycles_again(const struct cycles *c);
size_t cycles_unread(const struct cycles *c);
/* A line of JSON each: id, and the times since 1970 in milliseconds;
 * since_us: what is added to the times. */
void cycles_dump(const struct cycles *c, int64_t since_us, FILE *to);

#endif
