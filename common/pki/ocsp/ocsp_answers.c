#include "common/pki/ocsp/ocsp_answers.h"

#include <stdbool.h>
#include <string.h>

#define ENDS_MAX 255
#define DER_MAX 0xffff
#define HEAD 4 /* the numbers of answers, and of ends behind them */

/*
 * u16 answers, u16 ends; the ends, each: u16 length, octets; the answers, each:
 * u8 length, outcome; u32 left_s; u8 its end, from 1 (0: none); u16 length,
 * octets before the end.
 */

/* --- writing --- */

struct out {
	uint8_t *p;
};

static void
put_uint(struct out *w, uint64_t value, unsigned octets)
{
	for (unsigned i = octets; i > 0; i--)
		*w->p++ = (uint8_t)(value >> 8 * (i - 1));
}

static void
put_octets(struct out *w, const void *p, size_t len)
{
	if (len > 0)
		memcpy(w->p, p, len);
	w->p += len;
}

/* Which it is, from 1, of those that are known; a new one is added.  0: there
 * are too many. */
static size_t
number_end(struct span *ends, size_t *n, struct span end)
{
	for (size_t i = 0; i < *n; i++) {
		if (span_equal(ends[i], end))
			return i + 1;
	}
	if (*n == ENDS_MAX)
		return 0;
	ends[(*n)++] = end;
	return *n;
}

rc
ocsp_answers_write(struct arena *a, const struct ocsp_answer *answers, size_t n,
    struct span *out)
{
	struct span *ends = arena_alloc(a, ENDS_MAX * sizeof(*ends));
	size_t *numbers = arena_alloc(a, (n + 1) * sizeof(*numbers));
	size_t nends = 0, room = HEAD;
	struct out w;

	for (size_t i = 0; i < n; i++) {
		const struct ocsp_answer *one = &answers[i];

		if (one->der.len > DER_MAX || n > DER_MAX)
			return RC_TOO_LARGE;
		numbers[i] = 0;
		if (one->end.len > 0)
			numbers[i] = number_end(ends, &nends, one->end);
		if (one->end.len > 0 && numbers[i] == 0)
			return RC_TOO_LARGE;
		room += 8 + strlen(one->outcome) + one->der.len - one->end.len;
	}
	for (size_t i = 0; i < nends; i++)
		room += 2 + ends[i].len;
	out->p = w.p = arena_alloc(a, room);
	put_uint(&w, n, 2);
	put_uint(&w, nends, 2);
	for (size_t i = 0; i < nends; i++) {
		put_uint(&w, ends[i].len, 2);
		put_octets(&w, ends[i].p, ends[i].len);
	}
	for (size_t i = 0; i < n; i++) {
		const struct ocsp_answer *one = &answers[i];
		size_t len = one->der.len - one->end.len;

		put_uint(&w, strlen(one->outcome), 1);
		put_octets(&w, one->outcome, strlen(one->outcome));
		put_uint(&w, (uint64_t)one->left_s, 4);
		put_uint(&w, numbers[i], 1);
		put_uint(&w, len, 2);
		put_octets(&w, one->der.p, len);
	}
	out->len = (size_t)(w.p - out->p);
	return RC_OK;
}

/* --- reading --- */

struct in {
	struct span left;
	bool is_bad; /* nothing that is read counts */
};

static struct span
take(struct in *r, size_t len)
{
	struct span got = {r->left.p, len};

	if (len > r->left.len || r->is_bad) {
		r->is_bad = true;
		return (struct span){NULL, 0};
	}
	r->left.p += len;
	r->left.len -= len;
	return got;
}

static uint32_t
take_uint(struct in *r, unsigned octets)
{
	struct span s = take(r, octets);
	uint32_t value = 0;

	for (size_t i = 0; i < s.len; i++)
		value = value << 8 | s.p[i];
	return value;
}

static void
read_one(struct arena *a, struct in *r, const struct span *ends, size_t nends,
    struct ocsp_answer *out)
{
	struct span outcome = take(r, take_uint(r, 1)), der;
	uint32_t left_s = take_uint(r, 4);
	size_t end = take_uint(r, 1);
	uint8_t *whole;

	der = take(r, take_uint(r, 2));
	if (end > nends)
		r->is_bad = true;
	if (r->is_bad)
		return;
	out->outcome =
	    arena_printf(a, "%.*s", (int)outcome.len, (const char *)outcome.p);
	out->left_s = left_s;
	if (end == 0) {
		out->der = der;
		return;
	}
	whole = arena_alloc(a, der.len + ends[end - 1].len);
	memcpy(whole, der.p, der.len);
	memcpy(whole + der.len, ends[end - 1].p, ends[end - 1].len);
	out->der = (struct span){whole, der.len + ends[end - 1].len};
}

rc
ocsp_answers_read(struct arena *a, struct span octets,
    const struct ocsp_answer **out, size_t *out_n)
{
	struct in r = {.left = octets};
	size_t n = take_uint(&r, 2), nends = take_uint(&r, 2);
	struct ocsp_answer *answers =
	    arena_alloc(a, (n + 1) * sizeof(*answers));
	struct span *ends = arena_alloc(a, (nends + 1) * sizeof(*ends));

	for (size_t i = 0; i < nends; i++)
		ends[i] = take(&r, take_uint(&r, 2));
	for (size_t i = 0; i < n && !r.is_bad; i++)
		read_one(a, &r, ends, nends, &answers[i]);
	if (r.is_bad || r.left.len > 0)
		return RC_INVALID;

	*out = answers;
	*out_n = n;
	return RC_OK;
}
