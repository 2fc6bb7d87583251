#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/attr.h"

/* Says so without allocating, then ends the process. */
static void mem_die(void) NORETURN;

static void
mem_die(void)
{
	static const char text[] = "certctl: out of memory\n";
	ssize_t n;

	n = write(STDERR_FILENO, text, sizeof(text) - 1);
	(void)n; /* nothing is left to do about it */
	abort();
}

void *
mem_zalloc(size_t size)
{
	void *p = calloc(1, size > 0 ? size : 1);

	if (p == NULL)
		mem_die();
	return p;
}

void *
mem_realloc(void *p, size_t count, size_t size)
{
	void *q;

	/* realloc to nothing would free p and return NULL */
	if (count == 0 || size == 0)
		count = size = 1;
	q = reallocarray(p, count, size);
	if (q == NULL)
		mem_die();
	return q;
}

char *
mem_strdup(const char *s)
{
	char *p = strdup(s);

	if (p == NULL)
		mem_die();
	return p;
}

char *
mem_strndup(const char *s, size_t len)
{
	char *p = strndup(s, len);

	if (p == NULL)
		mem_die();
	return p;
}

void
mem_freep(char **p)
{
	free(*p);
	*p = NULL;
}

void
mem_wipe(void *p, size_t len)
{
	if (len > 0)
		explicit_bzero(p, len);
}
