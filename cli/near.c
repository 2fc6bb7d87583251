#include "cli/near.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { NEAR_MAX = 40 };

static bool
is_same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

size_t
near_distance(const char *a, const char *b)
{
	size_t d[NEAR_MAX + 1][NEAR_MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > NEAR_MAX || m > NEAR_MAX)
		return SIZE_MAX;
	for (size_t i = 0; i <= n; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		for (size_t j = 1; j <= m; j++) {
			size_t best =
			    d[i - 1][j - 1] + !is_same(a[i - 1], b[j - 1]);

			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && is_same(a[i - 1], b[j - 2]) &&
			    is_same(a[i - 2], b[j - 1]) &&
			    d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return d[n][m];
}

void
near_look(struct near *n, const char *candidate)
{
	size_t most = strlen(n->word) < 5 ? 1 : strlen(n->word) < 9 ? 2 : 3;
	size_t distance = near_distance(n->word, candidate);

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
