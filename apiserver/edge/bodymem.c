#include "apiserver/edge/bodymem.h"

#include <malloc.h>
#include <stdlib.h>

#include "common/base/mem.h"

enum {
	/* A fall of so much, to less than half, is worth a trim, which walks
	 * the heap. */
	TRIM_BYTES = 8 * 1024 * 1024,
	TRIM_MS = 1000,
	/* Larger blocks are mapped one by one and leave when they are freed;
	 * left alone, glibc raises this with every large block it sees. */
	MMAP_BYTES = 256 * 1024,
};

struct bodymem {
	size_t max;
	size_t held;
	size_t other;
	size_t peak; /* of both, since the last trim */
	struct timer *trim;
};

static void
on_trim(void *arg)
{
	struct bodymem *m = arg;

	m->peak = m->held + m->other;
	(void)malloc_trim(0);
}

struct bodymem *
bodymem_new(struct loop *l, size_t max)
{
	struct bodymem *m = mem_zalloc(sizeof(*m));

	(void)mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
	m->max = max;
	m->trim = timer_new(l, on_trim, m);
	return m;
}

void
bodymem_free(struct bodymem *m)
{
	if (!m)
		return;
	timer_free(m->trim);
	free(m);
}

static void
look_at_peak(struct bodymem *m)
{
	size_t now = m->held + m->other;

	if (now > m->peak)
		m->peak = now;
	else if (m->peak - now >= TRIM_BYTES && now < m->peak / 2 &&
		 !timer_is_armed(m->trim))
		timer_arm(m->trim, TRIM_MS);
}

rc
bodymem_take(struct bodymem *m, size_t bytes)
{
	if (bytes > m->max - m->held)
		return RC_BUSY;
	m->held += bytes;
	look_at_peak(m);
	return RC_OK;
}

void
bodymem_give(struct bodymem *m, size_t bytes)
{
	m->held -= bytes;
	look_at_peak(m);
}

void
bodymem_note_more(struct bodymem *m, size_t bytes)
{
	m->other += bytes;
	look_at_peak(m);
}

void
bodymem_note_less(struct bodymem *m, size_t bytes)
{
	m->other -= bytes;
	look_at_peak(m);
}
