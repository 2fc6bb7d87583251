#include "cli/out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"

enum form {
	FORM_LINE, /* nothing passes */
	FORM_TEXT, /* line feeds pass */
	FORM_JSON  /* escapes are JSON's */
};

/* Ranges of code points that are obeyed or not seen: controls, joiners and
 * marks of direction, fillers, variation and tag characters. */
static const uint32_t harmful[][2] = {
    {0x0000, 0x001f},
    {0x007f, 0x009f},
    {0x00ad, 0x00ad},
    {0x034f, 0x034f},
    {0x061c, 0x061c},
    {0x115f, 0x1160},
    {0x17b4, 0x17b5},
    {0x180b, 0x180e},
    {0x200b, 0x200f},
    {0x2028, 0x202e},
    {0x2060, 0x206f},
    {0x3164, 0x3164},
    {0xfe00, 0xfe0f},
    {0xfeff, 0xfeff},
    {0xffa0, 0xffa0},
    {0xfff0, 0xfffb},
    {0x1d173, 0x1d17a},
    {0xe0000, 0xe0fff},
};

static bool
is_harmful(uint32_t cp)
{
	for (size_t i = 0; i < ARRAY_LEN(harmful); i++) {
		if (cp >= harmful[i][0] && cp <= harmful[i][1])
			return true;
	}
	return false;
}

/* The length of the character at p, or 0 when it is not UTF-8; p ends in
 * NUL, which continues nothing. */
static size_t
read_char(const unsigned char *p, uint32_t *out)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : 3;
	uint32_t cp;

	if (p[0] >= 0xf0)
		n = p[0] < 0xf5 ? 4 : 0;
	if (n < 2) {
		*out = p[0];
		return n;
	}
	cp = p[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (p[i] & 0x3fu);
	}
	if (cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	*out = cp;
	return n;
}

static void
add_escape(struct buf *b, uint32_t cp, enum form form)
{
	if (form == FORM_JSON && cp > 0xffff)
		buf_printf(b, "\\u%04x\\u%04x", 0xd7c0 + (cp >> 10),
		    0xdc00 + (cp & 0x3ff));
	else if (form != FORM_JSON && cp == '\n')
		buf_puts(b, "\\n");
	else if (form != FORM_JSON && cp == '\t')
		buf_puts(b, "\\t");
	else if (form != FORM_JSON && cp < 0x80)
		buf_printf(b, "\\x%02x", cp);
	else
		buf_printf(b, cp > 0xffff ? "\\U%08x" : "\\u%04x", cp);
}

/* In JSON the white space between values passes; inside a string there is
 * none of it, for the server's answer was parsed. */
static bool
passes(uint32_t cp, enum form form)
{
	if (cp == '\n')
		return form != FORM_LINE;
	if (cp == '\t' || cp == '\r')
		return form == FORM_JSON;
	return !is_harmful(cp);
}

static void
add_harmless(struct buf *b, const char *text, enum form form)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p) {
		uint32_t cp = 0;
		size_t n = read_char(p, &cp);

		if (n == 0)
			buf_printf(b, form == FORM_JSON ? "\\ufffd" : "\\x%02x",
			    *p);
		else if (passes(cp, form))
			buf_add(b, p, n);
		else
			add_escape(b, cp, form);
		p += n ? n : 1;
	}
}

const char *
out_harmless(struct arena *a, const char *text)
{
	const char *line;
	struct buf b;

	buf_init(&b, 0);
	add_harmless(&b, text, FORM_LINE);
	line = arena_strdup(a, buf_cstr(&b));
	buf_fini(&b);
	return line;
}

size_t
out_width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void put(FILE *to, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

static void
put(FILE *to, const char *fmt, va_list ap)
{
	char *text = NULL;
	struct buf b;

	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	buf_init(&b, 0);
	add_harmless(&b, text, FORM_TEXT);
	(void)fputs(buf_cstr(&b), to); /* out_flush tells */
	buf_fini(&b);
	free(text);
}

void
out_print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(stdout, fmt, ap);
	va_end(ap);
}

void
out_error(const char *fmt, ...)
{
	va_list ap;

	(void)fflush(stdout); /* in the order of events, on one terminal */
	(void)fputs("certctl: ", stderr);
	va_start(ap, fmt);
	put(stderr, fmt, ap);
	va_end(ap);
	(void)fputs("\n", stderr);
}

void
out_tell(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(stderr, fmt, ap);
	va_end(ap);
	(void)fputs("\n", stderr);
}

void
out_json(const char *text)
{
	size_t len = strlen(text);
	struct buf b;

	buf_init(&b, 0);
	add_harmless(&b, text, FORM_JSON);
	if (len == 0 || text[len - 1] != '\n')
		buf_putc(&b, '\n');
	(void)fputs(buf_cstr(&b), stdout); /* out_flush tells */
	buf_fini(&b);
}

bool
out_flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return true;
	(void)fprintf(stderr, "certctl: standard output: %s\n",
	    strerror(errno));
	return false;
}
