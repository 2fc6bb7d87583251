/*
 * cursor: where a walk through a list stands: the sort keys of the last row.
 *
 * URL-safe base64, with padding, of the keys with ":" between them; the
 * certificates' "<created_at RFC 3339>:<id>" is the contract's.  Only the
 * first key may contain a ":" itself.
 */
#ifndef APISERVER_RESOURCES_CURSOR_H
#define APISERVER_RESOURCES_CURSOR_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"

enum cursor_type {
	CURSOR_TEXT, /* any */
	CURSOR_ID,   /* any but the empty one */
	CURSOR_TIME, /* RFC 3339, infinity or -infinity */
	CURSOR_INT   /* 0 to 2^63 - 1 */
};

/* One key of a list's order: a column of its rows. */
struct cursor_key {
	const char *column;
	enum cursor_type type;
};

enum { CURSOR_KEYS_MAX = 3 };

const char *cursor_encode(struct arena *a, const char *const *values, size_t n);
/* Into out_values[n].  False for what is no cursor of these keys: the walk
 * starts from the beginning then, as the contract asks. */
bool cursor_decode(struct arena *a, const char *text,
    const struct cursor_key *keys, size_t n, const char **out_values);

#endif
