/*
 * moment: times of the API, and how long something takes, for people.
 *
 * Texts live in the arena.
 */
#ifndef CLI_MOMENT_H
#define CLI_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"

struct cJSON;

/* An RFC 3339 time in UTC, as Unix seconds.  false: it is none, or "never". */
bool moment_read(const struct cJSON *object, const char *name,
    int64_t *out_unix);
/* A time of RFC 3339, or a date as its begin in UTC, as the API takes it;
 * NULL: it is none. */
const char *moment_given(struct arena *a, const char *text);
/* Whether the text is the time by which the API says "never": of the year 1. */
bool moment_is_never(const char *text);
/* "2026-11-23 19:56:28", in UTC. */
const char *moment_text(struct arena *a, int64_t unix_s);
/* To the second: "2 d 3 h", "4 h 5 min", "6 min 7 s", "8 s". */
const char *moment_span(struct arena *a, int64_t s);
/* In the unit that has two digits or more: "7.2 s", "15 min", "3 d". */
const char *moment_about(struct arena *a, double s);
/* Until an end: "89 d", "3 h", "12 min", "expired". */
const char *moment_left(struct arena *a, int64_t s);

#endif
