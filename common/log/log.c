#include "common/log/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/base/plain.h"
#include "common/log/log_int.h"

/* Set once by log_init, before other threads exist. */
static char process_name[64] = "certctl";
static enum log_level least_level = LOG_INFO;
static bool as_json;

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARN] = "warn",
    [LOG_ERROR] = "error",
};

void
log_init(const char *process, enum log_level least, bool json)
{
	(void)snprintf(process_name, sizeof(process_name), "%s", process);
	least_level = least;
	as_json = json;
}

bool
log_is_on(enum log_level level)
{
	return level >= least_level;
}

/* Bytes of the UTF-8 character at s, 0 when the bytes are not one. */
static size_t
char_len(const char *s, size_t left)
{
	uint8_t lead = (uint8_t)s[0];
	size_t n = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

	if (lead < 0x80)
		return 1;
	return n <= left && enc_is_utf8(s, n) ? n : 0;
}

/* A character of n > 1 bytes. */
static void
put_wide(struct buf *b, const char *s, size_t n)
{
	uint32_t c = (uint8_t)s[0] & (0x7fU >> n);

	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((uint8_t)s[i] & 0x3fU);
	if (!plain_is_hidden(c))
		buf_add(b, s, n);
	else if (c < 0x10000)
		buf_printf(b, "\\u%04x", c);
	else
		buf_printf(b, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10),
		    0xdc00 + (c & 0x3ff));
}

/*
 * One character; what may forge a line, steer a terminal or hide is escaped:
 * controls, what can't be seen or turns the writing, quotes and backslashes,
 * and bytes that are no UTF-8.  Returns the bytes used.
 */
static size_t
put_char(struct buf *b, const char *s, size_t left)
{
	uint8_t c = (uint8_t)s[0];
	size_t n = char_len(s, left);

	if (n == 0) {
		if (as_json)
			buf_puts(b, "\\ufffd");
		else
			buf_printf(b, "\\x%02x", c);
		return 1;
	}
	if (c == '"' || c == '\\')
		buf_printf(b, "\\%c", c);
	else if (c == '\n')
		buf_puts(b, "\\n");
	else if (c == '\r')
		buf_puts(b, "\\r");
	else if (c == '\t')
		buf_puts(b, "\\t");
	else if (c < 0x20 || c == 0x7f)
		buf_printf(b, as_json ? "\\u%04x" : "\\x%02x", c);
	else if (c < 0x80)
		buf_putc(b, (char)c);
	else
		put_wide(b, s, n);
	return n;
}

static void
put_quoted(struct buf *b, const char *s, size_t max)
{
	size_t len = strnlen(s, max + 1);
	size_t end = len > max ? max : len;
	size_t i = 0;

	buf_putc(b, '"');
	while (i < end)
		i += put_char(b, s + i, len - i);
	if (len > max)
		buf_puts(b, "...");
	buf_putc(b, '"');
}

/* Whether logfmt can carry the value without quotes. */
static bool
is_plain(const char *s)
{
	if (*s == '\0' || strlen(s) > LOG_FIELD_MAX)
		return false;
	for (; *s != '\0'; s++) {
		if (*s <= ' ' || *s >= 0x7f || *s == '"' || *s == '=' ||
		    *s == '\\')
			return false;
	}
	return true;
}

static void
put_field(struct buf *b, const char *key, const char *value, size_t max)
{
	if (b->len > 0)
		buf_putc(b, as_json ? ',' : ' ');
	if (as_json) {
		put_quoted(b, key, LOG_FIELD_MAX);
		buf_putc(b, ':');
		put_quoted(b, value, max);
		return;
	}
	buf_puts(b, key);
	buf_putc(b, '=');
	if (max == LOG_FIELD_MAX && is_plain(value))
		buf_puts(b, value);
	else
		put_quoted(b, value, max);
}

void
log_put_field(struct buf *fields, const char *key, const char *value)
{
	put_field(fields, key, value, LOG_FIELD_MAX);
}

static void
put_head(struct buf *b, const char *level, const char *code, const char *text,
    size_t max)
{
	char ts[32];

	clock_format_rfc3339(clock_wall_us(), ts);
	put_field(b, "ts", ts, LOG_FIELD_MAX);
	put_field(b, "level", level, LOG_FIELD_MAX);
	put_field(b, "proc", process_name, LOG_FIELD_MAX);
	put_field(b, "code", code, LOG_FIELD_MAX);
	put_field(b, "msg", text, max);
}

void
log_put_head(struct buf *fields, enum log_level level, const char *code,
    const char *text, size_t max)
{
	put_head(fields, level_names[level], code, text, max);
}

void
log_put_line(const struct buf *fields)
{
	struct buf line;
	const char *p;
	size_t left;
	ssize_t n;

	buf_init(&line, 0);
	if (as_json)
		buf_putc(&line, '{');
	buf_add(&line, buf_cstr(fields), fields->len);
	buf_puts(&line, as_json ? "}\n" : "\n");
	p = buf_cstr(&line);
	left = line.len;
	while (left > 0) {
		n = write(STDERR_FILENO, p, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break; /* nowhere left to report it */
		p += n;
		left -= (size_t)n;
	}
	buf_fini(&line);
}

static void write_text(const char *level, const char *code, const char *fmt,
    va_list ap) PRINTF_LIKE(3, 0);

static void
write_text(const char *level, const char *code, const char *fmt, va_list ap)
{
	int saved = errno; /* callers log first and look at errno after */
	char text[LOG_TEXT_MAX + 2];
	struct buf b;

	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	buf_init(&b, 0);
	put_head(&b, level, code, text, LOG_TEXT_MAX);
	log_put_line(&b);
	buf_fini(&b);
	errno = saved;
}

void
log_write(enum log_level level, const char *code, const char *fmt, ...)
{
	va_list ap;

	if (!log_is_on(level))
		return;
	va_start(ap, fmt);
	write_text(level_names[level], code, fmt, ap);
	va_end(ap);
}

void
log_fields(enum log_level level, const char *code, const char *text, ...)
{
	int saved = errno;
	const char *key, *value;
	struct buf b;
	va_list ap;

	if (!log_is_on(level))
		return;
	buf_init(&b, 0);
	log_put_head(&b, level, code, text, LOG_TEXT_MAX);
	va_start(ap, text);
	for (;;) {
		key = va_arg(ap, const char *);
		if (key == NULL)
			break;
		value = va_arg(ap, const char *);
		put_field(&b, key, value != NULL ? value : "", LOG_FIELD_MAX);
	}
	va_end(ap);
	log_put_line(&b);
	buf_fini(&b);
	errno = saved;
}

void
log_fatal(const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_text("fatal", code, fmt, ap);
	va_end(ap);
	abort();
}
