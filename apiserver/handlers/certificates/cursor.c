#include "apiserver/handlers/certificates/cursor.h"

#include <stdint.h>
#include <string.h>

#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/enc.h"

enum { MAX_CURSOR = 400 };

static void
swap_chars(char *text, char from, char to)
{
	for (; *text != '\0'; text++) {
		if (*text == from)
			*text = to;
	}
}

const char *
cursor_encode(struct arena *a, const char *created_at, const char *id)
{
	const char *plain = arena_printf(a, "%s:%s", created_at, id);
	char *text = enc_base64(a, (const uint8_t *)plain, strlen(plain));

	swap_chars(text, '+', '-');
	swap_chars(text, '/', '_');
	return text;
}

bool
cursor_decode(struct arena *a, const char *text, const char **out_created_at,
    const char **out_id)
{
	char *copy, *plain, *colon;
	uint8_t *raw;
	size_t len = strlen(text), raw_len;
	rc ret;

	if (len > MAX_CURSOR)
		return false;
	copy = arena_strdup(a, text);
	swap_chars(copy, '-', '+');
	swap_chars(copy, '_', '/');
	ret = enc_unbase64(a, copy, len, &raw, &raw_len);
	if (ret != RC_OK || memchr(raw, '\0', raw_len) != NULL)
		return false;
	plain = arena_strndup(a, (const char *)raw, raw_len);
	colon = strrchr(plain, ':');
	if (colon == NULL)
		return false;
	*colon = '\0';
	if (!wiretime_is_valid(plain, false) || !fieldtext_is_id(colon + 1))
		return false;
	*out_created_at = plain;
	*out_id = colon + 1;
	return true;
}
