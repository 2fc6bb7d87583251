#include "common/base/plain.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/base/enc.h"

struct range {
	uint32_t first, last;
};

/* Unicode's default ignorable code points and what else draws nothing or
 * turns what is drawn; the controls come first. */
static const struct range hidden[] = {
    {0x0000, 0x001F}, {0x007F, 0x009F}, {0x00AD, 0x00AD}, /* soft hyphen */
    {0x034F, 0x034F},                                     /* grapheme joiner */
    {0x061C, 0x061C},   /* Arabic letter mark */
    {0x115F, 0x1160},   /* Hangul fillers */
    {0x17B4, 0x17B5},   /* Khmer inherent vowels */
    {0x180B, 0x180F},   /* Mongolian selectors and separator */
    {0x200B, 0x200F},   /* zero width; direction marks */
    {0x2028, 0x202E},   /* separators; embeddings and overrides */
    {0x2060, 0x206F},   /* word joiner; isolates; deprecated */
    {0x3164, 0x3164},   /* Hangul filler */
    {0xFE00, 0xFE0F},   /* variation selectors */
    {0xFEFF, 0xFEFF},   /* byte order mark */
    {0xFFA0, 0xFFA0},   /* Hangul filler */
    {0xFFF0, 0xFFFB},   /* annotations */
    {0xFFFE, 0xFFFF},   /* no characters */
    {0x1BCA0, 0x1BCA3}, /* shorthand formats */
    {0x1D173, 0x1D17A}, /* musical formats */
    {0xE0000, 0xE0FFF}, /* tags and selectors */
};

static const struct range blanks[] = {
    {0x0009, 0x000D},
    {0x0020, 0x0020},
    {0x0085, 0x0085},
    {0x00A0, 0x00A0},
    {0x1680, 0x1680},
    {0x2000, 0x200A},
    {0x2028, 0x2029},
    {0x202F, 0x202F},
    {0x205F, 0x205F},
    {0x2800, 0x2800}, /* Braille, no dots */
    {0x3000, 0x3000},
};

static bool
is_within(const struct range *ranges, size_t n, uint32_t c)
{
	for (size_t i = 0; i < n; i++) {
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	}
	return false;
}

/* The next character of text that enc_is_utf8 accepts. */
static uint32_t
next(const char **text)
{
	const unsigned char *p = (const unsigned char *)*text;
	uint32_t c = *p;
	size_t more = c < 0x80 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;

	if (more > 0)
		c &= 0x3FU >> more;
	for (size_t i = 1; i <= more; i++)
		c = c << 6 | (p[i] & 0x3FU);
	*text += more + 1;
	return c;
}

bool
plain_is_hidden(uint32_t c)
{
	/* Nearly all of every text, and bodies are long. */
	if (c >= 0x20 && c < 0x7F)
		return false;
	return is_within(hidden, ARRAY_LEN(hidden), c);
}

static bool
is_layout(uint32_t c)
{
	return c == '\t' || c == '\n' || c == '\r';
}

static bool
shows_all(const char *text, bool may_have_lines)
{
	if (!enc_is_utf8(text, strlen(text)))
		return false;
	while (*text != '\0') {
		uint32_t c = next(&text);

		if (may_have_lines && is_layout(c))
			continue;
		if (plain_is_hidden(c))
			return false;
	}
	return true;
}

bool
plain_is_line(const char *text)
{
	return shows_all(text, false);
}

const char *
plain_why_no_line(const char *text)
{
	if (!enc_is_utf8(text, strlen(text)))
		return "bytes that are no UTF-8";
	while (*text != '\0') {
		uint32_t c = next(&text);

		if (c < 0x20 || (c >= 0x7F && c < 0xA0))
			return "a control character (a line feed at its end?)";
		if (c == 0x200C || c == 0x200D)
			return "a joiner (U+200C or U+200D), which can't be "
			       "seen";
		if (plain_is_hidden(c))
			return "a character that can't be seen";
	}
	return NULL;
}

bool
plain_is_text(const char *text)
{
	return shows_all(text, true);
}

/* Bytes of the character that text begins with, 0 when they are none. */
static size_t
char_bytes(const char *text)
{
	unsigned char lead = (unsigned char)text[0];
	size_t n = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

	return strnlen(text, n) == n && enc_is_utf8(text, n) ? n : 0;
}

void
plain_clean(char *text)
{
	const char *from = text;
	char *to = text;

	while (*from != '\0') {
		const char *at = from;
		size_t n = char_bytes(from);
		uint32_t c = n > 0 ? next(&at) : 0;

		if (n > 0 && (is_layout(c) || !plain_is_hidden(c))) {
			memmove(to, from, n);
			to += n;
		} else {
			*to++ = '?';
		}
		from += n > 0 ? n : 1;
	}
	*to = '\0';
}

bool
plain_is_blank(const char *text)
{
	if (!enc_is_utf8(text, strlen(text)))
		return false;
	while (*text != '\0') {
		if (!is_within(blanks, ARRAY_LEN(blanks), next(&text)))
			return false;
	}
	return true;
}
