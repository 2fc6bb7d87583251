#include "common/pki/asn1/der.h"

#include <time.h>

/* Longest length field read: 3 octets, 16 MiB. */
#define LEN_OCTETS_MAX 3
#define HEAD_MAX 6

void
der_init(struct der *d, struct span bytes, bool *bad)
{
	/* An empty span may have no address, which nothing is added to. */
	d->p = bytes.len > 0 ? bytes.p : (const uint8_t *)"";
	d->end = d->p + bytes.len;
	d->bad = bad;
}

bool
der_more(const struct der *d)
{
	return !*d->bad && d->p < d->end;
}

uint8_t
der_peek(const struct der *d)
{
	return der_more(d) ? *d->p : DER_ANY;
}

/* The octets of a definite, minimal length; false when it is neither. */
static bool
read_length(const uint8_t **p, const uint8_t *end, size_t *out)
{
	size_t len = 0, n;

	if (*p == end)
		return false;
	n = *(*p)++;
	if (n < 0x80) {
		*out = n;
		return true;
	}
	n &= 0x7f;
	if (n < 1 || n > LEN_OCTETS_MAX || (size_t)(end - *p) < n)
		return false;
	if (**p == 0)
		return false; /* not minimal */
	for (size_t i = 0; i < n; i++)
		len = len << 8 | *(*p)++;
	if (len < 0x80)
		return false; /* not minimal */

	*out = len;
	return true;
}

/* Moves past one element; the two spans are set only when it is well formed. */
static bool
next(struct der *d, uint8_t tag, struct span *whole, struct span *content)
{
	const uint8_t *p = d->p;
	size_t len;
	uint8_t got;

	if (!der_more(d))
		return false;
	got = *p++;
	/* Tag numbers past 30 have several octets; nothing here uses them. */
	if (got == 0 || (got & 0x1f) == 0x1f)
		return false;
	if (tag != DER_ANY && got != tag)
		return false;
	if (!read_length(&p, d->end, &len) || (size_t)(d->end - p) < len)
		return false;

	*content = (struct span){p, len};
	*whole = (struct span){d->p, (size_t)(p - d->p) + len};
	d->p = p + len;
	return true;
}

static void
mark_bad(struct der *d)
{
	*d->bad = true;
	d->p = d->end;
}

struct span
der_take(struct der *d, uint8_t tag)
{
	struct span whole, content = {d->end, 0};

	if (!next(d, tag, &whole, &content))
		mark_bad(d);
	return content;
}

struct span
der_take_whole(struct der *d, uint8_t tag)
{
	struct span whole = {d->end, 0}, content;

	if (!next(d, tag, &whole, &content))
		mark_bad(d);
	return whole;
}

struct der
der_enter(struct der *d, uint8_t tag)
{
	struct span content = der_take(d, tag);
	struct der inner;

	der_init(&inner, content, d->bad);
	return inner;
}

void
der_end(struct der *d)
{
	if (d->p != d->end)
		mark_bad(d);
}

struct span
der_take_bits(struct der *d)
{
	struct span s = der_take(d, DER_BIT_STRING);

	if (s.len < 1 || s.p[0] != 0) {
		mark_bad(d);
		return (struct span){d->end, 0};
	}
	return (struct span){s.p + 1, s.len - 1};
}

static bool
integer_ok(struct span s)
{
	if (s.len < 1)
		return false;
	if (s.len == 1)
		return true;
	/* The first nine bits must not all be equal. */
	return !(s.p[0] == 0x00 && s.p[1] < 0x80) &&
	       !(s.p[0] == 0xff && s.p[1] >= 0x80);
}

static bool
bits_ok(struct span s)
{
	if (s.len < 1 || s.p[0] > 7)
		return false;
	if (s.len == 1)
		return s.p[0] == 0;
	return (s.p[s.len - 1] & ((1u << s.p[0]) - 1)) == 0;
}

static bool
oid_ok(struct span s)
{
	bool at_start = true;

	if (s.len < 1 || s.p[s.len - 1] >= 0x80)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (at_start && s.p[i] == 0x80)
			return false; /* not minimal */
		at_start = s.p[i] < 0x80;
	}
	return true;
}

bool
der_value_ok(uint8_t tag, struct span s)
{
	if ((tag & 0xc0) != 0)
		return false; /* application, context, private */
	switch (tag) {
	case DER_BOOLEAN:
		return s.len == 1 && (s.p[0] == 0x00 || s.p[0] == 0xff);
	case DER_INTEGER:
	case DER_ENUMERATED:
		return integer_ok(s);
	case DER_BIT_STRING:
		return bits_ok(s);
	case DER_NULL:
		return s.len == 0;
	case DER_OID:
		return oid_ok(s);
	case DER_UTC_TIME:
		return s.len == 13;
	case DER_GENERALIZED_TIME:
		return s.len >= 15;
	case 0x1c: /* UniversalString */
		return s.len % 4 == 0;
	case 0x1e: /* BMPString */
		return s.len % 2 == 0;
	case DER_SEQUENCE:
	case DER_SET:
		return true;
	case 0x10: /* neither is ever primitive */
	case 0x11:
		return false;
	default:
		return (tag & 0x20) == 0; /* no constructed strings in DER */
	}
}

void
der_out_init(struct der_out *w, uint8_t *room, size_t len)
{
	w->start = room;
	w->p = w->end = room + len;
	w->failed = false;
}

void
der_put(struct der_out *w, const void *bytes, size_t len)
{
	if (w->failed || (size_t)(w->p - w->start) < len) {
		w->failed = true;
		return;
	}
	if (len == 0)
		return;
	w->p -= len;
	memcpy(w->p, bytes, len);
}

void
der_put_span(struct der_out *w, struct span s)
{
	der_put(w, s.p, s.len);
}

void
der_put_byte(struct der_out *w, uint8_t byte)
{
	der_put(w, &byte, 1);
}

uint8_t *
der_mark(const struct der_out *w)
{
	return w->p;
}

void
der_put_head(struct der_out *w, uint8_t tag, const uint8_t *mark)
{
	uint8_t head[HEAD_MAX];
	size_t len = (size_t)(mark - w->p), at = HEAD_MAX;

	if (len > 0xffffff) {
		w->failed = true;
		return;
	}
	if (len < 0x80) {
		head[--at] = (uint8_t)len;
	} else {
		uint8_t n = 0;

		for (size_t rest = len; rest; rest >>= 8, n++)
			head[--at] = (uint8_t)rest;
		head[--at] = (uint8_t)(0x80 | n);
	}
	head[--at] = tag;
	der_put(w, head + at, HEAD_MAX - at);
}

void
der_put_value(struct der_out *w, uint8_t tag, struct span content)
{
	uint8_t *mark = der_mark(w);

	der_put_span(w, content);
	der_put_head(w, tag, mark);
}

static void
put_digits(char *out, int n, int value)
{
	for (int i = n - 1; i >= 0; i--, value /= 10)
		out[i] = (char)('0' + value % 10);
}

static bool
put_time(struct der_out *w, int64_t unix_time, int utc_until)
{
	time_t t = (time_t)unix_time;
	struct tm tm;
	char text[15], *p = text;
	int year;
	bool utc;

	if (!gmtime_r(&t, &tm))
		return false;
	year = tm.tm_year + 1900;
	if (year < 1950 || year > 9999)
		return false;
	utc = year < utc_until;
	put_digits(text, 4, year);
	put_digits(text + 4, 2, tm.tm_mon + 1);
	put_digits(text + 6, 2, tm.tm_mday);
	put_digits(text + 8, 2, tm.tm_hour);
	put_digits(text + 10, 2, tm.tm_min);
	put_digits(text + 12, 2, tm.tm_sec);
	text[14] = 'Z';
	p += utc ? 2 : 0;
	der_put_value(w, utc ? DER_UTC_TIME : DER_GENERALIZED_TIME,
	    (struct span){(const uint8_t *)p, (size_t)(text + 15 - p)});
	return true;
}

bool
der_put_time(struct der_out *w, int64_t unix_time)
{
	return put_time(w, unix_time, 2050);
}

bool
der_put_generalized_time(struct der_out *w, int64_t unix_time)
{
	return put_time(w, unix_time, 0);
}

struct span
der_out_span(const struct der_out *w)
{
	if (w->failed)
		return (struct span){NULL, 0};
	return (struct span){w->p, (size_t)(w->end - w->p)};
}
