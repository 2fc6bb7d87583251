#include "common/base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

/* Most ops fit the first block; later ones double up to the largest. */
#define ARENA_FIRST ((size_t)4096)
#define ARENA_LARGEST ((size_t)65536)

/*
 * Under AddressSanitizer every object gets a block of its own, so that a
 * write past its end is seen.
 */
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_SPLIT 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_SPLIT 1
#endif
#endif
#ifndef ARENA_SPLIT
#define ARENA_SPLIT 0
#endif

struct block {
	struct block *next;
	alignas(max_align_t) char data[];
};

struct deferred {
	struct deferred *next;
	void (*fn)(void *);
	void *p;
};

struct arena {
	struct block *blocks; /* all but the first, which holds this struct */
	struct deferred *deferred; /* last first */
	char *cur;
	size_t left; /* bytes from cur to the end of the current block */
	size_t next_size;
	size_t bytes;
};

/*
 * First blocks of arenas that ended, for those to come: a request takes and
 * gives back one, and blocks of this size make malloc consolidate its free
 * lists each time.  Arenas belong to the loop's thread, so does this.
 */
#define SPARE_MAX 64
static void *spare[SPARE_MAX];
static size_t nspare;

static void *
first_block(size_t size)
{
	if (!ARENA_SPLIT && nspare > 0)
		return spare[--nspare];
	return mem_realloc(NULL, 1, size);
}

static void
give_back(struct arena *a)
{
	if (!ARENA_SPLIT && nspare < SPARE_MAX)
		spare[nspare++] = a;
	else
		free(a);
}

static size_t
align_up(size_t n)
{
	size_t mask = alignof(max_align_t) - 1;

	return (n + mask) & ~mask;
}

struct arena *
arena_new(void)
{
	size_t head = align_up(sizeof(struct arena));
	size_t size = ARENA_SPLIT ? head : ARENA_FIRST;
	struct arena *a = first_block(size);

	memset(a, 0, sizeof(*a));
	a->cur = (char *)a + head;
	a->left = size - head;
	a->next_size = 2 * ARENA_FIRST;
	a->bytes = size;
	return a;
}

static void
end_since(struct arena *a, const void *blocks, const void *deferred)
{
	struct deferred *d;
	struct block *b;

	/* One at a time: a deferred function may still use the arena. */
	while (a->deferred != deferred) {
		d = a->deferred;
		a->deferred = d->next;
		d->fn(d->p);
	}
	while (a->blocks != blocks) {
		b = a->blocks;
		a->blocks = b->next;
		free(b);
	}
}

void
arena_free(struct arena *a)
{
	if (a == NULL)
		return;
	end_since(a, NULL, NULL);
	give_back(a);
}

struct arena_mark
arena_mark(const struct arena *a)
{
	return (struct arena_mark){a->blocks, a->deferred, a->cur, a->left,
	    a->next_size, a->bytes};
}

void
arena_rewind(struct arena *a, const struct arena_mark *mark)
{
	end_since(a, mark->blocks, mark->deferred);
	a->cur = mark->cur;
	a->left = mark->left;
	a->next_size = mark->next_size;
	a->bytes = mark->bytes;
}

static char *
arena_add_block(struct arena *a, size_t data_size)
{
	struct block *b;

	b = mem_realloc(NULL, 1, sizeof(*b) + data_size);
	b->next = a->blocks;
	a->blocks = b;
	a->bytes += sizeof(*b) + data_size;
	return b->data;
}

void *
arena_alloc(struct arena *a, size_t size)
{
	char *p;

	/* An absurd size is our bug; the allocator refuses it and we end. */
	if (size > SIZE_MAX / 4)
		size = SIZE_MAX / 4;
	if (ARENA_SPLIT) {
		p = arena_add_block(a, size);
		memset(p, 0, size);
		return p;
	}
	size = align_up(size > 0 ? size : 1);
	if (size > a->left && size > a->next_size / 4) {
		/* a large object does not waste the rest of the block */
		p = arena_add_block(a, size);
		memset(p, 0, size);
		return p;
	}
	if (size > a->left) {
		a->left = a->next_size;
		a->cur = arena_add_block(a, a->left);
		if (a->next_size < ARENA_LARGEST)
			a->next_size *= 2;
	}
	p = a->cur;
	a->cur += size;
	a->left -= size;
	memset(p, 0, size);
	return p;
}

char *
arena_strndup(struct arena *a, const char *s, size_t len)
{
	char *p = arena_alloc(a, len + 1);

	if (len > 0)
		memcpy(p, s, len);
	return p;
}

char *
arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

/* Most formats only join texts, which takes vsnprintf several times as long.
 * -1 when there is something else in fmt, or too little room; else as that. */
static int
join(char *to, size_t size, const char *fmt, va_list ap)
{
	const char *text;
	size_t at = 0, n;

	while (*fmt) {
		text = fmt;
		n = strcspn(fmt, "%");
		if (n > 0) {
			fmt += n;
		} else if (fmt[1] == 's') {
			text = va_arg(ap, const char *);
			n = text ? strlen(text) : size;
			fmt += 2;
		} else {
			return -1;
		}
		if (n >= size - at)
			return -1;
		memcpy(to + at, text, n);
		at += n;
	}
	to[at] = '\0';
	return (int)at;
}

char *
arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
	va_list again;
	char small[256];
	char *p;
	int n;

	va_copy(again, ap);
	n = join(small, sizeof(small), fmt, again);
	va_end(again);
	if (n >= 0)
		return arena_strndup(a, small, (size_t)n);
	va_copy(again, ap);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	if (n < 0)
		abort(); /* a broken format is our bug */
	if ((size_t)n < sizeof(small)) {
		p = arena_strndup(a, small, (size_t)n);
	} else {
		p = arena_alloc(a, (size_t)n + 1);
		(void)vsnprintf(p, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	return p;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	p = arena_vprintf(a, fmt, ap);
	va_end(ap);
	return p;
}

void
arena_defer(struct arena *a, void (*fn)(void *), void *p)
{
	struct deferred *d = arena_alloc(a, sizeof(*d));

	d->fn = fn;
	d->p = p;
	d->next = a->deferred;
	a->deferred = d;
}

size_t
arena_bytes(const struct arena *a)
{
	return a->bytes;
}
