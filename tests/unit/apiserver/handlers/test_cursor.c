#include "apiserver/handlers/certificates/cursor.h"

#include "common/base/attr.h"
#include "common/base/enc.h"
#include "tests/unit/check.h"

static void
test_there_and_back(void)
{
	struct arena *a = arena_new();
	const char *at, *id, *text;

	text = cursor_encode(a, "2026-11-23T20:08:01.123456Z", "mc-1.a_b");
	CHECK(strpbrk(text, "+/") == NULL);
	CHECK(cursor_decode(a, text, &at, &id));
	CHECK_STR(at, "2026-11-23T20:08:01.123456Z");
	CHECK_STR(id, "mc-1.a_b");
	arena_free(a);
}

static void
test_what_is_none(void)
{
	static const char *const plain[] = {"", "x", ":", "x:y",
	    "2026-11-23T20:08:01Z:", ":mc-1", "2026-11-23T20:08:01Z:a b",
	    "2026-11-23:mc-1", "2026-11-23T20:08:01Z'; --:mc-1"};
	struct arena *a = arena_new();
	const char *at = NULL, *id = NULL;

	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		const char *text =
		    enc_base64(a, (const uint8_t *)plain[i], strlen(plain[i]));

		CHECK(!cursor_decode(a, text, &at, &id));
	}
	CHECK(!cursor_decode(a, "start", &at, &id));
	CHECK(!cursor_decode(a, "=====", &at, &id));
	CHECK(!cursor_decode(a, "AAAA", &at, &id));
	CHECK(at == NULL && id == NULL);
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(test_there_and_back), CHECK_ROW(test_what_is_none))
