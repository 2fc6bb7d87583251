#include "common/json/json_scan.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/base/text.h"

/* A member's name, decoded, and where it stands. */
struct name {
	const char *text;
	size_t at;
};

struct scan {
	const char *text;
	size_t len;
	size_t at;
	unsigned depth;
	const char *why; /* set by the first mistake only */
	size_t why_at;
	struct arena *scratch;
	/* Names of the objects that are open, innermost last. */
	struct name *names;
	size_t nnames, names_cap;
};

static bool scan_value(struct scan *s);

static bool
fail_at(struct scan *s, size_t at, const char *why)
{
	if (s->why == NULL) {
		s->why = why;
		s->why_at = at;
	}
	return false;
}

static bool
fail(struct scan *s, const char *why)
{
	return fail_at(s, s->at, why);
}

/* The byte ahead, -1 at the end. */
static int
peek(const struct scan *s)
{
	return s->at < s->len ? (uint8_t)s->text[s->at] : -1;
}

static void
skip_space(struct scan *s)
{
	int c = peek(s);

	while (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
		s->at++;
		c = peek(s);
	}
}

/* Four hex digits after \u. */
static bool
scan_hex4(struct scan *s, uint32_t *out)
{
	uint8_t bytes[2];
	char hex[5] = {0};

	if (s->len - s->at < 4)
		return fail(s, "broken \\u escape");
	memcpy(hex, s->text + s->at, 4);
	if (enc_unhex(hex, bytes, 2) != RC_OK)
		return fail(s, "broken \\u escape");
	s->at += 4;
	*out = (uint32_t)bytes[0] << 8 | bytes[1];
	return true;
}

static char *
put_utf8(char *p, uint32_t c)
{
	if (c < 0x80) {
		*p++ = (char)c;
		return p;
	}
	if (c < 0x800) {
		*p++ = (char)(0xc0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*p++ = (char)(0xe0 | c >> 12);
		} else {
			*p++ = (char)(0xf0 | c >> 18);
			*p++ = (char)(0x80 | (c >> 12 & 63));
		}
		*p++ = (char)(0x80 | (c >> 6 & 63));
	}
	*p++ = (char)(0x80 | (c & 63));
	return p;
}

/* After \u: one character, from one escape or a surrogate pair. */
static bool
scan_unicode(struct scan *s, uint32_t *out)
{
	size_t start = s->at - 2;
	uint32_t high, low;

	if (!scan_hex4(s, &high))
		return false;
	if (high == 0)
		return fail_at(s, start, "\\u0000 is not accepted");
	*out = high;
	if (high < 0xd800 || high > 0xdfff)
		return true;
	if (high > 0xdbff || s->len - s->at < 2 ||
	    memcmp(s->text + s->at, "\\u", 2) != 0)
		return fail_at(s, start, "lone surrogate");
	s->at += 2;
	if (!scan_hex4(s, &low))
		return false;
	if (low < 0xdc00 || low > 0xdfff)
		return fail_at(s, start, "lone surrogate");
	*out = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	return true;
}

/* The character after a backslash. */
static bool
scan_escape(struct scan *s, uint32_t *out)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	const char *p;
	int c = peek(s);

	if (c < 0)
		return fail(s, "unfinished string");
	s->at++;
	if (c == 'u')
		return scan_unicode(s, out);
	p = c > 0 ? strchr(from, c) : NULL;
	if (p == NULL)
		return fail_at(s, s->at - 1, "unknown escape");
	*out = (uint8_t)to[p - from];
	return true;
}

/*
 * A string from its opening quote on.  With out_text it is decoded into the
 * scratch arena; the decoded form is never longer than the written one.
 */
static bool
scan_string(struct scan *s, const char **out_text)
{
	size_t start = s->at + 1;
	size_t end = start;
	char *text = NULL, *p = NULL;
	uint32_t value = 0;
	int c;

	while (end < s->len && s->text[end] != '"')
		end += s->text[end] == '\\' ? 2 : 1;
	if (end >= s->len)
		return fail(s, "unfinished string");
	if (!enc_is_utf8(s->text + start, end - start) &&
	    memchr(s->text + start, 0, end - start) == NULL)
		return fail_at(s, start, "string is not valid UTF-8");
	if (out_text != NULL)
		p = text = arena_alloc(s->scratch, end - start + 1);
	for (s->at = start; s->at < end;) {
		c = peek(s);
		if (c < 0x20)
			return fail(s, "control character in a string");
		s->at++;
		if (c != '\\') {
			if (p != NULL)
				*p++ = (char)c;
			continue;
		}
		if (!scan_escape(s, &value))
			return false;
		if (p != NULL)
			p = put_utf8(p, value);
	}
	s->at = end + 1;
	if (out_text != NULL)
		*out_text = text;
	return true;
}

/* One digit or more. */
static bool
scan_digits(struct scan *s)
{
	if (!text_is_digit(peek(s)))
		return fail(s, "malformed number");
	while (text_is_digit(peek(s)))
		s->at++;
	return true;
}

static bool
scan_number(struct scan *s)
{
	char copy[JSON_NUMBER_MAX + 1];
	size_t start = s->at;
	double value;

	if (peek(s) == '-')
		s->at++;
	if (peek(s) == '0')
		s->at++;
	else if (!scan_digits(s))
		return false;
	if (peek(s) == '.') {
		s->at++;
		if (!scan_digits(s))
			return false;
	}
	if (peek(s) == 'e' || peek(s) == 'E') {
		s->at++;
		if (peek(s) == '+' || peek(s) == '-')
			s->at++;
		if (!scan_digits(s))
			return false;
	}
	if (s->at - start > JSON_NUMBER_MAX)
		return fail_at(s, start, "number is too long");
	memcpy(copy, s->text + start, s->at - start);
	copy[s->at - start] = '\0';
	value = strtod(copy, NULL);
	/* From 2^53 on a double no longer tells neighbours apart. */
	if (!isfinite(value) || fabs(value) >= 0x1p53)
		return fail_at(s, start, "number is out of range");
	return true;
}

static bool
scan_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if (s->len - s->at < n || memcmp(s->text + s->at, word, n) != 0)
		return fail(s, "unexpected character");
	s->at += n;
	return true;
}

static void
names_push(struct scan *s, const char *text, size_t at)
{
	if (s->nnames == s->names_cap) {
		s->names_cap = s->names_cap > 0 ? 2 * s->names_cap : 32;
		s->names =
		    mem_realloc(s->names, s->names_cap, sizeof(s->names[0]));
	}
	s->names[s->nnames].text = text;
	s->names[s->nnames].at = at;
	s->nnames++;
}

static int
name_compare(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	int order = strcasecmp(x->text, y->text);

	if (order != 0)
		return order;
	return x->at < y->at ? -1 : x->at > y->at;
}

/* Sorted, so that a body of a hundred thousand members stays cheap. */
static bool
names_pop(struct scan *s, size_t first)
{
	struct name *names = s->names + first;
	size_t n = s->nnames - first;
	size_t twin = 0;

	s->nnames = first;
	if (n < 2)
		return true;
	qsort(names, n, sizeof(names[0]), name_compare);
	for (size_t i = 1; i < n; i++) {
		if (strcasecmp(names[i - 1].text, names[i].text) == 0 &&
		    (twin == 0 || names[i].at < names[twin].at))
			twin = i;
	}
	return twin == 0 || fail_at(s, names[twin].at, "duplicate member");
}

static bool
scan_object(struct scan *s)
{
	size_t first = s->nnames;
	size_t at;
	const char *name = NULL;

	s->at++;
	skip_space(s);
	if (peek(s) == '}') {
		s->at++;
		return true;
	}
	for (;;) {
		at = s->at;
		if (peek(s) != '"')
			return fail(s, "member name expected");
		if (!scan_string(s, &name))
			return false;
		names_push(s, name, at);
		skip_space(s);
		if (peek(s) != ':')
			return fail(s, "':' expected");
		s->at++;
		if (!scan_value(s))
			return false;
		if (peek(s) == '}')
			break;
		if (peek(s) != ',')
			return fail(s, "',' or '}' expected");
		s->at++;
		skip_space(s);
	}
	s->at++;
	return names_pop(s, first);
}

static bool
scan_array(struct scan *s)
{
	s->at++;
	skip_space(s);
	if (peek(s) == ']') {
		s->at++;
		return true;
	}
	for (;;) {
		if (!scan_value(s))
			return false;
		if (peek(s) == ']')
			break;
		if (peek(s) != ',')
			return fail(s, "',' or ']' expected");
		s->at++;
	}
	s->at++;
	return true;
}

static bool
scan_nested(struct scan *s, bool (*scan)(struct scan *))
{
	bool ok;

	if (s->depth == JSON_DEPTH_MAX)
		return fail(s, "nested too deeply");
	s->depth++;
	ok = scan(s);
	s->depth--;
	return ok;
}

/* A value with the blanks around it. */
static bool
scan_value(struct scan *s)
{
	bool ok;

	skip_space(s);
	switch (peek(s)) {
	case -1:
		return fail(s, "text ends early");
	case '{':
		ok = scan_nested(s, scan_object);
		break;
	case '[':
		ok = scan_nested(s, scan_array);
		break;
	case '"':
		ok = scan_string(s, NULL);
		break;
	case 't':
		ok = scan_word(s, "true");
		break;
	case 'f':
		ok = scan_word(s, "false");
		break;
	case 'n':
		ok = scan_word(s, "null");
		break;
	default:
		if (peek(s) != '-' && !text_is_digit(peek(s)))
			return fail(s, "unexpected character");
		ok = scan_number(s);
	}
	if (ok)
		skip_space(s);
	return ok;
}

rc
json_scan(struct arena *a, const char *text, size_t len, const char **out_why)
{
	struct scan s = {.text = text, .len = len};
	bool ok;

	s.scratch = arena_new();
	ok = scan_value(&s);
	if (ok && s.at != s.len)
		ok = fail(&s, "text after the value");
	if (!ok)
		*out_why = arena_printf(a, "%s at byte %zu", s.why, s.why_at);
	free(s.names);
	arena_free(s.scratch);
	return ok ? RC_OK : RC_INVALID;
}
