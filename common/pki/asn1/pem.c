#include "common/pki/asn1/pem.h"

#include <string.h>

#define LABEL_MAX 40
#define LINE_CHARS 64
#define DASHES "-----"

static const char b64[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwx"
			    "yz0123456789+/";

enum { B64_BAD = 0x40, B64_SPACE, B64_PAD };

/* What each octet means inside a body. */
static uint8_t values[256];

static void
values_fill(void)
{
	if (values[0] != 0)
		return;
	memset(values, B64_BAD, sizeof(values));
	for (uint8_t i = 0; i < 64; i++)
		values[(uint8_t)b64[i]] = i;
	values[' '] = values['\t'] = values['\r'] = values['\n'] = B64_SPACE;
	values['='] = B64_PAD;
}

/* A line "-----BEGIN label-----" or END; NULL when there is none. */
static const char *
find_line(const char *p, const char *end, const char *verb, const char *label,
    const char **out_after)
{
	char line[LABEL_MAX + 32];
	const char *from = p, *hit;
	size_t len;

	len = strlen(DASHES) * 2 + strlen(verb) + strlen(label);
	if (len >= sizeof(line))
		return NULL;
	line[0] = '\0';
	strncat(line, DASHES, sizeof(line) - 1);
	strncat(line, verb, sizeof(line) - 1 - strlen(line));
	strncat(line, label, sizeof(line) - 1 - strlen(line));
	strncat(line, DASHES, sizeof(line) - 1 - strlen(line));
	for (;;) {
		hit = memmem(p, (size_t)(end - p), line, len);
		if (!hit)
			return NULL;
		if (hit == from || hit[-1] == '\n' || hit[-1] == '\r')
			break;
		p = hit + len;
	}
	*out_after = hit + len;
	return hit;
}

/* Base64 with white space between the characters, and strict padding. */
static rc
decode(struct arena *a, const char *p, const char *end, struct span *out)
{
	uint8_t *bytes = arena_alloc(a, (size_t)(end - p) / 4 * 3 + 4);
	uint32_t group = 0;
	unsigned n = 0, pads = 0;
	size_t len = 0;
	bool done = false; /* padded: only white space may follow */

	for (; p < end; p++) {
		uint8_t v = values[(uint8_t)*p];

		if (v == B64_SPACE)
			continue;
		if (done)
			return RC_INVALID;
		if (v == B64_PAD && n >= 2) {
			pads++;
			v = 0;
		} else if (v >= B64_BAD || pads > 0) {
			return RC_INVALID;
		}
		group = group << 6 | v;
		if (++n < 4)
			continue;
		bytes[len++] = (uint8_t)(group >> 16);
		bytes[len++] = (uint8_t)(group >> 8);
		bytes[len++] = (uint8_t)group;
		n = 0;
		group = 0;
		if (pads > 0) {
			/* The bits under the padding must be zero. */
			if (bytes[len - 1] != 0 ||
			    (pads == 2 && bytes[len - 2] != 0))
				return RC_INVALID;
			len -= pads;
			done = true;
		}
	}
	if (n != 0 || len == 0)
		return RC_INVALID;

	*out = (struct span){bytes, len};
	return RC_OK;
}

rc
pem_read(struct arena *a, const char *label, const char *pem, size_t len,
    struct span *out_der, struct span *out_rest)
{
	const char *end = pem + len, *begin, *body, *stop, *after;
	rc code;

	values_fill();
	begin = find_line(pem, end, "BEGIN ", label, &body);
	if (!begin)
		return RC_NOT_FOUND;
	stop = find_line(body, end, "END ", label, &after);
	if (!stop)
		return RC_INVALID;
	code = decode(a, body, stop, out_der);
	if (code != RC_OK)
		return code;
	if (out_rest)
		*out_rest = (struct span){(const uint8_t *)after,
		    (size_t)(end - after)};
	return RC_OK;
}

static char *
put_text(char *p, const char *s)
{
	size_t len = strlen(s);

	memcpy(p, s, len);
	return p + len;
}

char *
pem_write(struct arena *a, const char *label, struct span der)
{
	size_t chars = (der.len + 2) / 3 * 4;
	size_t total = chars + chars / LINE_CHARS + 2 * (strlen(label) + 24);
	char *text = arena_alloc(a, total), *p = text;
	size_t column = 0;

	p = put_text(put_text(put_text(p, DASHES "BEGIN "), label),
	    DASHES "\n");
	for (size_t i = 0; i < der.len; i += 3) {
		size_t left = der.len - i;
		uint32_t v = (uint32_t)der.p[i] << 16;

		v |= left > 1 ? (uint32_t)der.p[i + 1] << 8 : 0;
		v |= left > 2 ? der.p[i + 2] : 0;
		*p++ = b64[v >> 18];
		*p++ = b64[v >> 12 & 63];
		*p++ = left > 1 ? b64[v >> 6 & 63] : '=';
		*p++ = left > 2 ? b64[v & 63] : '=';
		column += 4;
		if (column == LINE_CHARS) {
			*p++ = '\n';
			column = 0;
		}
	}
	if (column != 0)
		*p++ = '\n';
	p = put_text(put_text(put_text(p, DASHES "END "), label), DASHES "\n");
	*p = '\0';
	return text;
}
