/*
 * tally: what a run counts, by name, and what it measures, every sample kept.
 *
 * Percentiles are exact: the smallest sample that so many of all are not
 * above (nearest rank).  Times are microseconds.
 */
#ifndef FLEET_TALLY_H
#define FLEET_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "common/json/json.h"

struct samples {
	int64_t *us;
	size_t n, cap;
};

struct quantiles {
	size_t count;
	int64_t p50_us, p95_us, p99_us, max_us; /* 0 without samples */
};

void samples_add(struct samples *s, int64_t us);
void samples_fini(struct samples *s);
/* Sorts the samples. */
struct quantiles samples_quantiles(struct samples *s);

/* A member of a summary's "measures": milliseconds, and so many a second of
 * seconds; seconds <= 0: no rate. */
void samples_write(struct samples *s, struct json_w *w, const char *name,
    size_t errors, double seconds);

struct counts; /* of names; defined in tally.c */

struct counts *counts_new(void);
/* NULL is a no-op. */
void counts_free(struct counts *c);
/* Returns the count of that name as it is then. */
size_t counts_add(struct counts *c, const char *name);
size_t counts_of(const struct counts *c, const char *name);
/* Of all names. */
size_t counts_sum(const struct counts *c);
/* An object, in the order the names came. */
void counts_write(const struct counts *c, struct json_w *w);

/* A number with three decimals. */
void tally_write_number(struct json_w *w, const char *name, double value);

#endif
