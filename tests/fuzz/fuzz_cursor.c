/*
 * fuzz_cursor: cursors of walks and the times of filters.  What a cursor gives
 * are texts that its keys' types allow, and the same ones after another trip;
 * what passes for a time has the letters and the length of one.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/resources/cursor.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/attr.h"
#include "common/base/enc.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of the product's lists; see cursor_key. */
static const struct {
	struct cursor_key keys[CURSOR_KEYS_MAX];
	size_t n;
} orders[] = {
    {{{"created_at", CURSOR_TIME}, {"id", CURSOR_ID}}, 2},
    {{{"name", CURSOR_TEXT}, {"id", CURSOR_ID}}, 2},
    {{{"id", CURSOR_ID}}, 1},
    {{{"epoch", CURSOR_INT}, {"xid", CURSOR_INT}, {"seq", CURSOR_INT}}, 3},
};

static void
check_time(const char *text, bool may_be_date)
{
	if (!wiretime_is_valid(text, may_be_date))
		return;
	/* A date at least; a time, a fraction and an offset at most. */
	if (strlen(text) < 10 || strlen(text) > 35 ||
	    strspn(text, "0123456789-+:.TZtz") != strlen(text))
		abort();
	if (!may_be_date && strlen(text) < 20)
		abort();
}

static void
check_key(const char *value, enum cursor_type type)
{
	int64_t number;
	rc ret = RC_OK;

	if (!enc_is_utf8(value, strlen(value)))
		abort();
	if (type == CURSOR_INT)
		ret = enc_parse_i64(value, 0, INT64_MAX, &number);
	if (ret != RC_OK || (type == CURSOR_ID && value[0] == '\0'))
		abort();
	if (type == CURSOR_TIME && !wiretime_is_valid(value, false) &&
	    strcmp(value, "infinity") != 0 && strcmp(value, "-infinity") != 0)
		abort();
}

/* Both as the client sent it and as what a cursor wraps. */
static void
check_cursor(struct arena *a, const char *text)
{
	const char *got[CURSOR_KEYS_MAX], *again[CURSOR_KEYS_MAX];

	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		const struct cursor_key *keys = orders[i].keys;
		size_t n = orders[i].n;

		if (!cursor_decode(a, text, keys, n, got))
			continue;
		for (size_t k = 0; k < n; k++)
			check_key(got[k], keys[k].type);
		if (!cursor_decode(a, cursor_encode(a, got, n), keys, n, again))
			abort();
		for (size_t k = 0; k < n; k++)
			if (strcmp(got[k], again[k]) != 0)
				abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	const char *text = arena_strndup(a, (const char *)data, size);

	check_cursor(a, text);
	check_cursor(a, enc_base64(a, data, size));
	check_time(text, false);
	check_time(text, true);
	arena_free(a);
	return 0;
}
