#include "worker/notifiers/mime.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "common/base/buf.h"
#include "common/base/enc.h"
#include "worker/notifiers/notice.h"

#define SUBJECT_MAX 200
/* An encoded word has 75 characters at most, 63 of them text: 45 bytes. */
#define WORD_BYTES 45
#define LINE_BYTES 57 /* of base64, 76 characters */
#define CRLF "\r\n"

static bool
is_plain_ascii(const char *s)
{
	for (; *s; s++) {
		if (*s < 0x20 || *s >= 0x7f)
			return false;
	}
	return true;
}

/* As many bytes as fit into a word, whole characters only. */
static size_t
word_len(const char *s)
{
	size_t len = strnlen(s, WORD_BYTES + 1);

	if (len <= WORD_BYTES)
		return len;
	for (len = WORD_BYTES; len > 0; len--) {
		if (((unsigned char)s[len] & 0xc0) != 0x80)
			break;
	}
	return len;
}

/* "=?" is how an encoded word begins. */
static void
put_header_text(struct arena *a, struct buf *b, const char *text)
{
	const char *line = notice_line(a, text, SUBJECT_MAX);
	size_t len;

	if (is_plain_ascii(line) && !strstr(line, "=?")) {
		buf_puts(b, line);
		return;
	}
	for (; *line; line += len) {
		len = word_len(line);
		buf_printf(b, "=?UTF-8?B?%s?=%s",
		    enc_base64(a, (const uint8_t *)line, len),
		    line[len] ? CRLF " " : "");
	}
}

/* Not by strftime: names of days and months are English in mail. */
static void
put_date(struct buf *b, int64_t unix_time)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t at = (time_t)unix_time;
	struct tm tm;

	if (!gmtime_r(&at, &tm))
		return;
	buf_printf(b, "Date: %.3s, %d %.3s %d %02d:%02d:%02d +0000" CRLF,
	    days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon,
	    tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void
put_part(struct arena *a, struct buf *b, const char *boundary, const char *type,
    const char *text)
{
	size_t left = strlen(text), len;

	buf_printf(b,
	    "--%s" CRLF "Content-Type: %s; charset=utf-8" CRLF
	    "Content-Transfer-Encoding: base64" CRLF CRLF,
	    boundary, type);
	for (; left > 0; left -= len, text += len) {
		len = left < LINE_BYTES ? left : LINE_BYTES;
		buf_printf(b, "%s" CRLF,
		    enc_base64(a, (const uint8_t *)text, len));
	}
}

const char *
mime_write(struct arena *a, const struct mime_mail *m, size_t *out_len)
{
	/* "_" is no character of base64: no part holds it. */
	const char *boundary = arena_printf(a, "_%s_", m->id);
	const char *host = strchr(m->from, '@') + 1, *out;
	struct buf b;

	buf_init(&b, 0);
	buf_printf(&b,
	    "From: certctl <%s>" CRLF "To: <%s>" CRLF "Subject: ", m->from,
	    m->to);
	put_header_text(a, &b, m->subject);
	buf_puts(&b, CRLF);
	put_date(&b, m->date_unix);
	buf_printf(&b,
	    "Message-ID: <%s@%s>" CRLF "Auto-Submitted: auto-generated" CRLF
	    "MIME-Version: 1.0" CRLF "Content-Type: multipart/alternative; "
	    "boundary=\"%s\"" CRLF CRLF,
	    m->id, host, boundary);
	put_part(a, &b, boundary, "text/plain", m->text);
	put_part(a, &b, boundary, "text/html", m->html);
	buf_printf(&b, "--%s--" CRLF, boundary);
	*out_len = b.len;
	out = arena_strndup(a, buf_cstr(&b), b.len);
	buf_fini(&b);
	return out;
}
