/*
 * buf: a growable byte buffer with a ceiling.
 *
 * Once the ceiling is passed the buffer is marked failed and further writes
 * are ignored, so a writer checks once, at the end, with buf_ok().
 */
#ifndef COMMON_BASE_BUF_H
#define COMMON_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attr.h"

struct buf {
	char *data; /* always NUL-terminated once something was written */
	size_t len;
	size_t cap;
	size_t max; /* 0: 64 MiB */
	bool failed;
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
void buf_reset(struct buf *b);
void buf_add(struct buf *b, const void *p, size_t len);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool buf_ok(const struct buf *b);
/* The text, "" when empty; valid until the next write. */
const char *buf_cstr(const struct buf *b);

#endif
