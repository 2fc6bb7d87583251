#include "worker/notifiers/notice.h"

#include <stdbool.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/enc.h"
#include "common/base/plain.h"

#define LINE_MAX_CHARS 500
#define CUT "..."

/* How many bytes the character at s has; 0: it is none.  *out is what it is. */
static size_t
read_char(const char *s, uint32_t *out)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (strnlen(s, len) < len || !enc_is_utf8(s, len))
		return 0;
	*out = len == 1 ? p[0] : p[0] & (0xffU >> (len + 1));
	for (size_t i = 1; i < len; i++)
		*out = *out << 6 | (p[i] & 0x3fU);
	return len;
}

static bool
is_end_of_line(uint32_t c)
{
	return c == '\n' || c == '\r' || c == '\t' || c == 0x85 ||
	       c == 0x2028 || c == 0x2029;
}

const char *
notice_line(struct arena *a, const char *text, size_t max)
{
	size_t len, n = 0, keep = 0;
	const char *line;
	struct buf b;
	uint32_t c;

	buf_init(&b, 4 * max + sizeof(CUT));
	for (; *text; text += len ? len : 1) {
		len = read_char(text, &c);
		if (len > 0 && plain_is_hidden(c) && !is_end_of_line(c))
			continue;
		if (n == max)
			break;
		/* Where it would have to be cut, should more come. */
		if (n + strlen(CUT) <= max)
			keep = b.len;
		n++;
		if (len == 0)
			buf_putc(&b, '?');
		else if (is_end_of_line(c))
			buf_putc(&b, ' ');
		else
			buf_add(&b, text, len);
	}
	if (*text)
		line = arena_printf(a, "%.*s" CUT, (int)keep, buf_cstr(&b));
	else
		line = arena_strdup(a, buf_cstr(&b));
	buf_fini(&b);
	return line;
}

const char *
notice_subject(struct arena *a, const struct notice *n)
{
	if (n->total == 1)
		return notice_line(a, n->type, LINE_MAX_CHARS);
	return arena_printf(a, "%s: %zu notifications",
	    notice_line(a, n->type, LINE_MAX_CHARS), n->total);
}

static size_t
shown(const struct notice *n, size_t max_lines)
{
	return n->n < max_lines ? n->n : max_lines;
}

const char *
notice_rest(struct arena *a, const struct notice *n, size_t max_lines)
{
	size_t rest = n->total - shown(n, max_lines);

	if (rest == 0)
		return "";
	return arena_printf(a,
	    "and %zu more, as certctl notifications list shows", rest);
}

const char *
notice_body(struct arena *a, const struct notice *n, size_t max_lines)
{
	const char *rest = notice_rest(a, n, max_lines), *body;
	size_t lines = shown(n, max_lines);
	struct buf b;

	buf_init(&b, 0);
	for (size_t i = 0; i < lines; i++)
		buf_printf(&b, "%s%s", i > 0 ? "\n" : "",
		    notice_line(a, n->lines[i], LINE_MAX_CHARS));
	if (*rest)
		buf_printf(&b, "\n%s", rest);
	body = arena_strdup(a, buf_cstr(&b));
	buf_fini(&b);
	return body;
}

const char *
notice_key(struct arena *a, const struct notice *n)
{
	if (*n->certificate_id == '\0')
		return n->id;
	return notice_line(a,
	    arena_printf(a, "%s:%s", n->type, n->certificate_id), 250);
}
