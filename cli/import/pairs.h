/*
 * pairs: files of "key = value" lines, as certbot, acme.sh and systemd write
 * them: "#" and ";" begin a comment, "[name]" and "[[name]]" a section, and a
 * value may stand in quotes.  Nothing is expanded.
 */
#ifndef CLI_IMPORT_PAIRS_H
#define CLI_IMPORT_PAIRS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"

struct import;

enum { PAIRS_MAX = 2000 }; /* of a file; more are passed over */

struct pair {
	const char *section; /* "" before the first */
	const char *key, *value;
};

struct pairs {
	struct pair *all;
	size_t n;
};

/* text of len bytes; the pairs live in the arena. */
void pairs_read(struct arena *a, const char *text, size_t len,
    struct pairs *out);
/* The same of a file, as files_read does.  false: it can't be read. */
bool pairs_read_file(struct import *im, const char *path,
    struct pairs *out) MUST_CHECK;
/* The last value of the key in any section, or NULL. */
const char *pairs_value(const struct pairs *p, const char *key);

#endif
