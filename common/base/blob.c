#include "common/base/blob.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

struct blob *
blob_new(const void *bytes, size_t len)
{
	struct blob *b = mem_realloc(NULL, 1, sizeof(*b) + len + 1);

	b->nholders = 1;
	b->len = len;
	if (len > 0)
		memcpy(b->bytes, bytes, len);
	b->bytes[len] = '\0';
	return b;
}

struct blob *
blob_hold(struct blob *b)
{
	b->nholders++;
	return b;
}

void
blob_let_go(struct blob *b)
{
	if (b != NULL && --b->nholders == 0)
		free(b);
}
