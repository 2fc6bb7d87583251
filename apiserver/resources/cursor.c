#include "apiserver/resources/cursor.h"

#include <stdint.h>
#include <string.h>

#include "apiserver/resources/wiretime.h"
#include "common/base/buf.h"
#include "common/base/enc.h"

enum { MAX_CURSOR = 2048 };

static void
swap_chars(char *text, char from, char to)
{
	for (; *text != '\0'; text++) {
		if (*text == from)
			*text = to;
	}
}

const char *
cursor_encode(struct arena *a, const char *const *values, size_t n)
{
	CLEANUP(buf_fini) struct buf b;
	char *text;

	buf_init(&b, 0);
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "%s%s", i > 0 ? ":" : "", values[i]);
	text =
	    enc_base64(a, (const uint8_t *)buf_cstr(&b), strlen(buf_cstr(&b)));
	swap_chars(text, '+', '-');
	swap_chars(text, '/', '_');
	return text;
}

static bool
fits(const char *value, enum cursor_type type)
{
	int64_t number;
	rc ret;

	switch (type) {
	case CURSOR_ID:
		return value[0] != '\0';
	case CURSOR_TIME:
		return strcmp(value, "-infinity") == 0 ||
		       strcmp(value, "infinity") == 0 ||
		       wiretime_is_valid(value, false);
	case CURSOR_INT:
		ret = enc_parse_i64(value, 0, INT64_MAX, &number);
		return ret == RC_OK;
	default:
		return true;
	}
}

/* Unescaped, or NULL for what is no base64 of a text. */
static char *
plain_of(struct arena *a, const char *text)
{
	size_t len = strlen(text), raw_len;
	uint8_t *raw;
	char *copy;
	rc ret;

	if (len > MAX_CURSOR)
		return NULL;
	copy = arena_strdup(a, text);
	swap_chars(copy, '-', '+');
	swap_chars(copy, '_', '/');
	ret = enc_unbase64(a, copy, len, &raw, &raw_len);
	if (ret != RC_OK || memchr(raw, '\0', raw_len) != NULL ||
	    !enc_is_utf8((const char *)raw, raw_len))
		return NULL;
	return arena_strndup(a, (const char *)raw, raw_len);
}

bool
cursor_decode(struct arena *a, const char *text, const struct cursor_key *keys,
    size_t n, const char **out_values)
{
	const char *values[CURSOR_KEYS_MAX];
	char *plain = plain_of(a, text), *colon;

	if (plain == NULL)
		return false;
	for (size_t i = n; i > 0; i--) {
		colon = i > 1 ? strrchr(plain, ':') : NULL;
		if (i > 1 && colon == NULL)
			return false;
		values[i - 1] = colon != NULL ? colon + 1 : plain;
		if (!fits(values[i - 1], keys[i - 1].type))
			return false;
		if (colon != NULL)
			*colon = '\0';
	}
	memcpy(out_values, values, n * sizeof(values[0]));
	return true;
}
