/*
 * arena: memory that dies together.
 *
 * Each op, job batch and duty run owns one; what it allocates is never freed
 * by itself.  Foreign handles (PGresult, X509, EVP_PKEY) are handed over with
 * arena_defer and released in reverse order when the arena ends.
 *
 * Made, used and freed on the loop's thread only: ended arenas leave their
 * first block to later ones.
 */
#ifndef COMMON_BASE_ARENA_H
#define COMMON_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "common/base/attr.h"

struct arena; /* defined in arena.c */

struct arena *arena_new(void);
/* Runs the deferred functions, last first, and frees all.  NULL: no-op. */
void arena_free(struct arena *a);
/* Zeroed, aligned for any object.  Never NULL. */
void *arena_alloc(struct arena *a, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
    PRINTF_LIKE(2, 0);
/* fn(p) runs when the arena ends. */
void arena_defer(struct arena *a, void (*fn)(void *), void *p);
/* A point to go back to; the members are arena.c's. */
struct arena_mark {
	void *blocks, *deferred;
	char *cur;
	size_t left, next_size, bytes;
};
struct arena_mark arena_mark(const struct arena *a);
/* Ends all that was allocated or deferred since the mark, as arena_free
 * does: for work in rounds.  Older marks stay good, younger ones do not. */
void arena_rewind(struct arena *a, const struct arena_mark *mark);
/* Bytes held, for the metrics. */
size_t arena_bytes(const struct arena *a);

#endif
