#include "cli/near.h"

#include <string.h>

#include "cli/command.h"

void
near_look(struct near *n, const char *candidate)
{
	size_t most = strlen(n->word) < 5 ? 1 : strlen(n->word) < 9 ? 2 : 3;
	size_t distance = command_distance(n->word, candidate);

	/* What is begun is nearer than what is misspelt. */
	if (n->word[0] != '\0' && strlen(n->word) >= 2 &&
	    strncmp(n->word, candidate, strlen(n->word)) == 0)
		distance = 1;
	if (distance <= most && (!n->best || distance < n->distance)) {
		n->best = candidate;
		n->distance = distance;
	}
}

const char *
near_ask(struct arena *a, const struct near *n, const char *before)
{
	return n->best ? arena_printf(a, "; did you mean \"%s%s\"?", before,
			     n->best)
		       : "";
}
