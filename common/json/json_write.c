#include <string.h>

#include "common/base/enc.h"
#include "common/json/json.h"

enum { SHORT_MAX = 128 };

void
json_w_init(struct json_w *w, struct buf *b)
{
	w->b = b;
	w->comma = false;
}

static void
before_value(struct json_w *w)
{
	if (w->comma)
		buf_putc(w->b, ',');
	w->comma = true;
}

void
json_w_open(struct json_w *w, char bracket)
{
	before_value(w);
	buf_putc(w->b, bracket);
	w->comma = false;
}

void
json_w_close(struct json_w *w, char bracket)
{
	buf_putc(w->b, bracket);
	w->comma = true;
}

/* Whether the byte can stand in a string as it is: all of ASCII that shows but
 * "&<>\ as bits. */
static bool
is_plain(unsigned char c)
{
	static const uint32_t plain[4] = {0, 0xafffffbb, 0xefffffff,
	    0xffffffff};

	return c < 0x80 && (plain[c >> 5] >> (c & 31) & 1) != 0;
}

static void
put_ascii(struct buf *b, unsigned char c)
{
	switch (c) {
	case '"':
	case '\\':
		buf_putc(b, '\\');
		buf_putc(b, (char)c);
		break;
	case '\n':
		buf_puts(b, "\\n");
		break;
	case '\r':
		buf_puts(b, "\\r");
		break;
	case '\t':
		buf_puts(b, "\\t");
		break;
	default:
		buf_printf(b, "\\u%04x", c);
	}
}

/* A character of several bytes; returns how many were used. */
static size_t
put_wide(struct buf *b, const char *s, size_t left)
{
	unsigned char lead = (unsigned char)*s;
	size_t n = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

	if (n > left || !enc_is_utf8(s, n)) {
		/* Stored text is UTF-8; a stray byte must not break a page. */
		buf_puts(b, "\\ufffd");
		return 1;
	}
	if (memcmp(s, "\xe2\x80\xa8", n) == 0)
		buf_puts(b, "\\u2028");
	else if (memcmp(s, "\xe2\x80\xa9", n) == 0)
		buf_puts(b, "\\u2029");
	else
		buf_add(b, s, n);
	return n;
}

/* A short text that stands as it is, in one piece between before and after;
 * false: it is no such text. */
static bool
put_short(struct buf *b, const char *before, const char *s, const char *after)
{
	char all[SHORT_MAX];
	size_t at = 0;

	while (*before)
		all[at++] = *before++;
	for (; is_plain((unsigned char)*s) && at < SHORT_MAX - 2; s++)
		all[at++] = *s;
	if (*s)
		return false;
	while (*after)
		all[at++] = *after++;
	buf_add(b, all, at);
	return true;
}

static void
put_string(struct buf *b, const char *s)
{
	size_t len, i = 0, run;

	if (put_short(b, "\"", s, "\""))
		return;
	len = strlen(s);
	buf_putc(b, '"');
	while (i < len) {
		/* plain text in one piece: nearly all of every page */
		run = i;
		while (run < len && is_plain((unsigned char)s[run]))
			run++;
		if (run > i) {
			buf_add(b, s + i, run - i);
			i = run;
		} else if ((unsigned char)s[i] < 0x80) {
			put_ascii(b, (unsigned char)s[i++]);
		} else {
			i += put_wide(b, s + i, len - i);
		}
	}
	buf_putc(b, '"');
}

void
json_w_key(struct json_w *w, const char *key)
{
	bool is_short = put_short(w->b, w->comma ? ",\"" : "\"", key, "\":");

	if (!is_short) {
		before_value(w);
		put_string(w->b, key);
		buf_putc(w->b, ':');
	}
	w->comma = false;
}

void
json_w_str(struct json_w *w, const char *value)
{
	if (value == NULL) {
		json_w_null(w);
		return;
	}
	before_value(w);
	put_string(w->b, value);
}

void
json_w_int(struct json_w *w, int64_t value)
{
	before_value(w);
	buf_printf(w->b, "%lld", (long long)value);
}

void
json_w_bool(struct json_w *w, bool value)
{
	json_w_raw(w, value ? "true" : "false");
}

void
json_w_null(struct json_w *w)
{
	json_w_raw(w, "null");
}

void
json_w_raw(struct json_w *w, const char *json)
{
	before_value(w);
	buf_puts(w->b, json);
}

void
json_w_kv(struct json_w *w, const char *key, const char *value)
{
	json_w_key(w, key);
	json_w_str(w, value);
}

void
json_w_kv_opt(struct json_w *w, const char *key, const char *value)
{
	if (value != NULL && *value != '\0')
		json_w_kv(w, key, value);
}

void
json_w_kv_int(struct json_w *w, const char *key, int64_t value)
{
	json_w_key(w, key);
	json_w_int(w, value);
}

void
json_w_kv_bool(struct json_w *w, const char *key, bool value)
{
	json_w_key(w, key);
	json_w_bool(w, value);
}

void
json_w_kv_raw(struct json_w *w, const char *key, const char *json)
{
	json_w_key(w, key);
	json_w_raw(w, json);
}
