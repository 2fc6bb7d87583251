/*
 * wiretime: the times of the wire contract.
 */
#ifndef APISERVER_RESOURCES_WIRETIME_H
#define APISERVER_RESOURCES_WIRETIME_H

#include <stdbool.h>
#include <stdint.h>

#include "common/json/json.h"

/* What an unset time looks like on the wire. */
#define WIRETIME_ZERO "0001-01-01T00:00:00Z"

/* RFC 3339, or a bare date where that is allowed; PostgreSQL reads both.  The
 * fields' ranges are checked, days of the month too. */
bool wiretime_is_valid(const char *text, bool may_be_date);
/* "2026-11-23 20:08:01.5" (UTC, PostgreSQL's ISO style) as RFC 3339; out has
 * WIRETIME_SIZE bytes. */
#define WIRETIME_SIZE 40
void wiretime_text(const char *text, char *out);
/* The same, written. */
void wiretime_put(struct json_w *w, const char *text);
/* A time of the clock (clock_wall_us), to the millisecond, as the value of a
 * key. */
void wiretime_kv_us(struct json_w *w, const char *key, int64_t wall_us);

#endif
