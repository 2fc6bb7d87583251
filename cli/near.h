/*
 * near: the word that may have been meant, of those that there are.
 */
#ifndef CLI_NEAR_H
#define CLI_NEAR_H

#include <stddef.h>

#include "common/base/arena.h"

/* The nearest so far of what was looked at; begins with its word alone. */
struct near {
	const char *word;
	const char *best; /* the caller's text; NULL: none is near */
	size_t distance;
};

/* How many letters differ, in any case; a swap of two is one. */
size_t near_distance(const char *a, const char *b);
void near_look(struct near *n, const char *candidate);
/* "" or "; did you mean "before best"?", in the arena. */
const char *near_ask(struct arena *a, const struct near *n, const char *before);

#endif
