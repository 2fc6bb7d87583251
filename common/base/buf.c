#include "common/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define BUF_DEFAULT_MAX ((size_t)64 * 1024 * 1024)
#define BUF_FIRST ((size_t)256)

void
buf_init(struct buf *b, size_t max)
{
	memset(b, 0, sizeof(*b));
	b->max = max;
}

void
buf_fini(struct buf *b)
{
	free(b->data);
	b->data = NULL;
	b->len = b->cap = 0;
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->data != NULL)
		b->data[0] = '\0';
}

/* Makes room for more bytes and a NUL; false once the ceiling is passed. */
static bool
buf_reserve(struct buf *b, size_t more)
{
	size_t max = b->max > 0 ? b->max : BUF_DEFAULT_MAX;
	size_t cap;

	if (b->failed)
		return false;
	if (more > max || b->len > max - more) {
		b->failed = true;
		return false;
	}
	if (b->cap > b->len + more)
		return true;
	cap = b->cap > 0 ? b->cap : BUF_FIRST;
	while (cap <= b->len + more)
		cap *= 2;
	b->data = mem_realloc(b->data, cap, 1);
	b->cap = cap;
	return true;
}

void
buf_add(struct buf *b, const void *p, size_t len)
{
	if (!buf_reserve(b, len))
		return;
	if (len > 0)
		memcpy(b->data + b->len, p, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void
buf_puts(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_putc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	if (!buf_reserve(b, 0))
		return;
	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort(); /* a broken format is our bug */
	if ((size_t)n < b->cap - b->len && buf_reserve(b, (size_t)n)) {
		b->len += (size_t)n;
	} else {
		b->data[b->len] = '\0'; /* as before, should this fail */
		if (buf_reserve(b, (size_t)n)) {
			(void)vsnprintf(b->data + b->len, b->cap - b->len, fmt,
			    again);
			b->len += (size_t)n;
		}
	}
	va_end(again);
}

bool
buf_ok(const struct buf *b)
{
	return !b->failed;
}

const char *
buf_cstr(const struct buf *b)
{
	return b->data != NULL ? b->data : "";
}
