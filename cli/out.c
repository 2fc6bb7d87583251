#include "cli/out.h"

#include <errno.h>
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "common/base/attr.h"
#include "common/base/buf.h"

enum form {
	FORM_LINE, /* nothing passes */
	FORM_TEXT, /* line feeds pass */
	FORM_JSON, /* escapes are JSON's */
	FORM_YAML  /* those of its double quotes, the only place for them */
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

/* Widths are of characters, so of a locale that knows them; it stays for the
 * whole run, and nothing else depends on it. */
static bool
knows_widths(void)
{
	static locale_t utf8;
	static bool is_asked;

	if (!is_asked)
		utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	is_asked = true;
	if (utf8 == (locale_t)0)
		return false;
	(void)uselocale(utf8);
	return true;
}

/* The columns of one character: 2 for those of East Asia, 0 for marks that
 * stand on the one before. */
static size_t
width_of(uint32_t cp)
{
	int n = knows_widths() ? wcwidth((wchar_t)cp) : 1;

	return n < 0 ? 1 : (size_t)n; /* one that is newer than the table */
}

size_t
out_width(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t width = 0;

	while (*p) {
		uint32_t cp = 0;
		size_t n = read_char(p, &cp);

		width += cp < 0x80 ? 1 : width_of(cp);
		p += n ? n : 1;
	}
	return width;
}

/* How many bytes of it take so many columns at most: whole characters, with
 * the marks that stand on the last one. */
static size_t
fitting(const char *text, size_t columns)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t width = 0;

	while (*p) {
		uint32_t cp = 0;
		size_t n = read_char(p, &cp);

		width += cp < 0x80 ? 1 : width_of(cp);
		if (width > columns)
			break;
		p += n ? n : 1;
	}
	return (size_t)(p - (const unsigned char *)text);
}

const char *
out_shorten(struct arena *a, const char *text, size_t columns)
{
	if (columns == 0 || out_width(text) <= columns)
		return text;
	/* One is left for the ellipsis. */
	return arena_printf(a, "%.*s\xe2\x80\xa6",
	    (int)fitting(text, columns - 1), text);
}

const char *
out_cut(struct arena *a, const char *text, size_t columns)
{
	size_t n = fitting(text, columns);

	return text[n] ? arena_strndup(a, text, n) : text;
}

static int write_errno; /* of the first write that failed */
static void (*on_loss)(void);

void
out_on_loss(void (*fn)(void))
{
	on_loss = fn;
}

static void
check_written(FILE *to)
{
	if (to != stdout || !ferror(stdout))
		return;
	if (write_errno == 0)
		write_errno = errno;
	if (on_loss)
		on_loss();
}

void
out_write(FILE *to, const char *fmt, va_list ap)
{
	char *text = NULL;
	struct buf b;

	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	buf_init(&b, 0);
	add_harmless(&b, text, FORM_TEXT);
	(void)fputs(buf_cstr(&b), to); /* looked at below */
	buf_fini(&b);
	free(text);
	check_written(to);
}

void
out_print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	out_write(stdout, fmt, ap);
	va_end(ap);
}

void
out_print_painted(enum term_paint paint, const char *text)
{
	const char *begin = term_sequence(stdout, paint);

	if (paint == TERM_PLAIN || begin[0] == '\0') {
		out_print("%s", text);
		return;
	}
	(void)fputs(begin, stdout); /* ours, and so not made harmless */
	out_print("%s", text);
	(void)fputs(term_sequence(stdout, TERM_PLAIN), stdout);
}

void
out_write_json(FILE *to, const char *text)
{
	size_t len = strlen(text);
	struct buf b;

	buf_init(&b, 0);
	add_harmless(&b, text, FORM_JSON);
	if (len == 0 || text[len - 1] != '\n')
		buf_putc(&b, '\n');
	(void)fputs(buf_cstr(&b), to); /* looked at below */
	buf_fini(&b);
	check_written(to);
}

void
out_json(const char *text)
{
	out_write_json(stdout, text);
}

void
out_yaml(const char *text)
{
	struct buf b;

	buf_init(&b, 0);
	add_harmless(&b, text, FORM_YAML);
	(void)fputs(buf_cstr(&b), stdout); /* looked at below */
	buf_fini(&b);
	check_written(stdout);
}

void
out_csv(const char *text)
{
	(void)fputs(text, stdout); /* looked at below */
	check_written(stdout);
}

const char *
out_fault(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return NULL;
	if (write_errno == 0)
		write_errno = errno;
	return write_errno ? strerror(write_errno) : "it can't be written";
}
