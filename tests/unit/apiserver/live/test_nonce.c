#include "apiserver/live/nonce.h"

#include <string.h>

#include "tests/unit/check.h"

enum { EXPIRES = 1900000000 };

static struct nonce_key
key_of(uint8_t id, uint8_t byte)
{
	struct nonce_key k = {.id = {id}};

	memset(k.bytes, byte, sizeof(k.bytes));
	return k;
}

static void
test_made_and_read(void)
{
	struct nonce_key k = key_of(1, 7), same_id = key_of(1, 8),
			 other = key_of(2, 7);
	char text[NONCE_LEN + 1], second[NONCE_LEN + 1], again[NONCE_LEN + 1];
	uint8_t bytes[NONCE_BYTES];

	nonce_make(&k, EXPIRES, text);
	nonce_make(&k, EXPIRES, second);
	CHECK(strcmp(text, second) != 0);
	CHECK_INT(strlen(text), NONCE_LEN);
	CHECK_INT(nonce_read(text, bytes), RC_OK);
	CHECK_INT(nonce_expires(bytes), EXPIRES);
	CHECK(nonce_names(bytes, &k) && nonce_is_by(bytes, &k));
	CHECK(nonce_names(bytes, &same_id) && !nonce_is_by(bytes, &same_id));
	CHECK(!nonce_names(bytes, &other) && !nonce_is_by(bytes, &other));
	nonce_put(bytes, again);
	CHECK_STR(again, text);
}

/* No byte of it may be another. */
static void
test_changed(void)
{
	struct nonce_key k = key_of(1, 7);
	char text[NONCE_LEN + 1];
	uint8_t bytes[NONCE_BYTES];

	nonce_make(&k, EXPIRES, text);
	CHECK_INT(nonce_read(text, bytes), RC_OK);
	for (size_t i = 0; i < NONCE_BYTES; i++) {
		bytes[i] ^= 0x80;
		CHECK(!nonce_is_by(bytes, &k));
		bytes[i] ^= 0x80;
	}
	CHECK(nonce_is_by(bytes, &k));
}

static void
test_texts_that_are_none(void)
{
	static const char good[] = "0123456789-_ABCDEFGHIJKLMNOPQRSTUVWXYZabcd"
				   "efghijklmnopqrstuv";
	static const char bad[] = "+/=. \n\t%\x7f\xc3";
	char text[sizeof(good) + 1];
	uint8_t bytes[NONCE_BYTES];

	CHECK_INT(nonce_read(good, bytes), RC_OK);
	CHECK_INT(nonce_read("", bytes), RC_INVALID);
	CHECK_INT(nonce_read(good + 1, bytes), RC_INVALID);
	memcpy(text, good, sizeof(good));
	text[NONCE_LEN] = 'A';
	text[NONCE_LEN + 1] = '\0';
	CHECK_INT(nonce_read(text, bytes), RC_INVALID);
	for (const char *c = bad; *c; c++) {
		for (size_t at = 0; at < NONCE_LEN; at += NONCE_LEN - 1) {
			memcpy(text, good, sizeof(good));
			text[at] = *c;
			CHECK_INT(nonce_read(text, bytes), RC_INVALID);
		}
	}
}

static void
test_keys_that_are_none(void)
{
	struct nonce_key k;
	char key[2 * NONCE_KEY_BYTES + 1];

	memset(key, 'a', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	CHECK_INT(nonce_key_read("00112233445566ff", key, &k), RC_OK);
	CHECK_INT(k.id[7], 0xff);
	CHECK_INT(k.bytes[31], 0xaa);
	CHECK_INT(nonce_key_read("00112233445566", key, &k), RC_INVALID);
	CHECK_INT(nonce_key_read("00112233445566fg", key, &k), RC_INVALID);
	CHECK_INT(nonce_key_read("00112233445566ff", key + 2, &k), RC_INVALID);
}

CHECK_MAIN(CHECK_ROW(test_made_and_read), CHECK_ROW(test_changed),
    CHECK_ROW(test_texts_that_are_none), CHECK_ROW(test_keys_that_are_none))
