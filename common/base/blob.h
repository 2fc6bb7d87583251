/*
 * blob: bytes that do not change, held by as many as want them.
 *
 * Made with one holder; the last that lets go frees it.  One thread only.
 */
#ifndef COMMON_BASE_BLOB_H
#define COMMON_BASE_BLOB_H

#include <stddef.h>

struct blob {
	size_t nholders;
	size_t len;
	char bytes[]; /* and a NUL */
};

/* A copy of len bytes; the caller holds it.  Never NULL. */
struct blob *blob_new(const void *bytes, size_t len);
/* One more holds it; gives it back. */
struct blob *blob_hold(struct blob *b);
/* NULL is a no-op. */
void blob_let_go(struct blob *b);

#endif
