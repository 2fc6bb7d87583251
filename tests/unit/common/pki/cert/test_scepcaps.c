/*
 * What SCEP servers say they can do: lines of any ends, and what is none.
 */
#include <stdlib.h>
#include <string.h>

#include "common/pki/cert/scepcaps.h"
#include "tests/unit/check.h"

static struct arena *arena;

static struct scepcaps
caps_of(const char *text, size_t len)
{
	struct scepcaps out = {.n = 77};

	if (!arena)
		arena = arena_new();
	scepcaps_read(arena, (struct span){(const uint8_t *)text, len}, &out);
	return out;
}

static struct scepcaps
caps(const char *text)
{
	return caps_of(text, strlen(text));
}

static void
test_lines(void)
{
	struct scepcaps c = caps("AES\r\nsha-256\n\rRenewal \r\n\n\t\nMine");

	CHECK_INT(c.n, 4);
	CHECK_STR(c.words[1], "sha-256");
	CHECK_STR(c.words[3], "Mine");
	CHECK(scepcaps_has(&c, "AES") && scepcaps_has(&c, "SHA-256"));
	CHECK(scepcaps_has(&c, "Renewal") && scepcaps_has(&c, "MINE"));
	CHECK(!scepcaps_has(&c, "SHA-512") && !scepcaps_has(&c, "SHA-1"));
	CHECK_INT(caps("").n, 0);
	CHECK_INT(caps("\r\n \r\n").n, 0);
}

static void
test_standard(void)
{
	struct scepcaps c = caps("SCEPStandard\n");

	CHECK(scepcaps_has(&c, "AES") && scepcaps_has(&c, "SHA-256"));
	CHECK(scepcaps_has(&c, "POSTPKIOperation"));
	CHECK(!scepcaps_has(&c, "Renewal") && !scepcaps_has(&c, "SHA-512"));
}

static void
test_what_is_none(void)
{
	struct scepcaps c = caps_of("A\0B\x1b[31m\xff", 10);
	char *many = malloc(4 * 1000 + 1);

	CHECK_INT(c.n, 2);
	CHECK_STR(c.words[1], "B?[31m?");
	for (size_t i = 0; i < 1000; i++)
		memcpy(many + 4 * i, "Abc\n", 5);
	CHECK_INT(caps(many).n, SCEPCAPS_MAX);
	memset(many, 'x', 200);
	c = caps(many);
	CHECK_INT(strlen(c.words[0]), SCEPCAPS_WORD_MAX);
	free(many);
	arena_free(arena);
	arena = NULL;
}

CHECK_MAIN(CHECK_ROW(test_lines), CHECK_ROW(test_standard),
    CHECK_ROW(test_what_is_none))
