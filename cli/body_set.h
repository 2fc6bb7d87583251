/*
 * body_set: --set taken apart: KEY=VALUE, or KEY:=JSON.
 *
 * Dots of the key lead into objects; \. is a dot of a name and \\ a backslash.
 */
#ifndef CLI_BODY_SET_H
#define CLI_BODY_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"

struct cli;

/* The names that lead to a member; in the arena. */
struct body_path {
	const char **names;
	size_t n; /* at least 1 */
};

struct body_set {
	const char *key; /* as it was given */
	struct body_path path;
	const char *value;
	bool is_json; /* := */
};

/* NULL, or what is wrong with it. */
const char *body_path_read(struct arena *a, const char *text,
    struct body_path *out) MUST_CHECK;
/* *out lives in c->arena.  EXIT_USAGE with a message: it is none. */
int body_set_read(struct cli *c, const char *given,
    struct body_set *out) MUST_CHECK;
/* Whether its key leads into an object. */
bool body_set_is_deep(const char *given);

#endif
