#include "common/pki/asn1/pem.h"

#include <string.h>

#include "common/base/enc.h"

#define LABEL_MAX 40
#define LINE_BYTES 48 /* 64 characters */
#define DASHES "-----"
#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* some editors write it */

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

rc
pem_find(struct arena *a, const char *label, const char *pem, size_t len,
    struct span *out_der, struct span *out_before, struct span *out_rest)
{
	const char *end = pem + len, *begin, *body, *stop, *after;
	size_t der_len;
	uint8_t *der;
	rc ret;

	if (len >= strlen(BYTE_ORDER_MARK) &&
	    memcmp(pem, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
		pem += strlen(BYTE_ORDER_MARK);
	begin = find_line(pem, end, "BEGIN ", label, &body);
	if (!begin)
		return RC_NOT_FOUND;
	stop = find_line(body, end, "END ", label, &after);
	if (!stop)
		return RC_INVALID;
	ret =
	    enc_unbase64_lines(a, body, (size_t)(stop - body), &der, &der_len);
	if (ret != RC_OK)
		return ret;
	if (der_len == 0)
		return RC_INVALID;
	*out_der = (struct span){der, der_len};
	*out_before =
	    (struct span){(const uint8_t *)pem, (size_t)(begin - pem)};
	*out_rest =
	    (struct span){(const uint8_t *)after, (size_t)(end - after)};
	return RC_OK;
}

rc
pem_read(struct arena *a, const char *label, const char *pem, size_t len,
    struct span *out_der, struct span *out_rest)
{
	struct span before, rest;
	rc ret;

	ret = pem_find(a, label, pem, len, out_der, &before, &rest);
	if (ret == RC_OK && out_rest)
		*out_rest = rest;
	return ret;
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
	size_t lines = (der.len + LINE_BYTES - 1) / LINE_BYTES;
	size_t total = (der.len + 2) / 3 * 4 + lines + 2 * (strlen(label) + 24);
	char *text = arena_alloc(a, total), *p = text;

	p = put_text(put_text(put_text(p, DASHES "BEGIN "), label),
	    DASHES "\n");
	for (size_t i = 0; i < der.len; i += LINE_BYTES) {
		size_t left = der.len - i;

		p = enc_base64_put(p, der.p + i,
		    left < LINE_BYTES ? left : LINE_BYTES);
		*p++ = '\n';
	}
	p = put_text(put_text(put_text(p, DASHES "END "), label), DASHES "\n");
	*p = '\0';
	return text;
}
