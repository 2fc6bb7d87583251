/*
 * test_enc: hex, base64, numbers, durations, UTF-8.
 */
#include "common/base/enc.h"

#include "common/base/rand.h"
#include "tests/unit/check.h"

static void
test_hex(void)
{
	uint8_t bytes[3];
	char out[7];

	enc_hex((const uint8_t *)"\x00\xff\x1a", 3, out);
	CHECK_STR(out, "00ff1a");
	enc_hex(NULL, 0, out);
	CHECK_STR(out, "");
	CHECK_INT(enc_unhex("00fF1A", bytes, 3), RC_OK);
	CHECK(memcmp(bytes, "\x00\xff\x1a", 3) == 0);
	CHECK_INT(enc_unhex("00ff1", bytes, 3), RC_INVALID);
	CHECK_INT(enc_unhex("00ff1a0", bytes, 3), RC_INVALID);
	CHECK_INT(enc_unhex("00ff1g", bytes, 3), RC_INVALID);
	CHECK_INT(enc_unhex(" 0ff1a", bytes, 3), RC_INVALID);
	CHECK_INT(enc_unhex("", bytes, 0), RC_OK);
}

static void
test_base64_known(void)
{
	struct arena *a = arena_new();
	/* RFC 4648 section 10 */
	static const char *const rows[][2] = {{"", ""}, {"f", "Zg=="},
	    {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},
	    {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
	uint8_t *out;
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *plain = rows[i][0], *coded = rows[i][1];

		CHECK_STR(enc_base64(a, (const uint8_t *)plain, strlen(plain)),
		    coded);
		CHECK_INT(enc_unbase64(a, coded, strlen(coded), &out, &len),
		    RC_OK);
		CHECK_INT(len, strlen(plain));
		CHECK(memcmp(out, plain, len) == 0);
	}
	arena_free(a);
}

static void
test_base64_round(void)
{
	struct arena *a = arena_new();
	uint8_t in[300], *out;
	size_t len;
	char *text;

	for (size_t n = 0; n < sizeof(in); n++) {
		rand_bytes(in, n);
		text = enc_base64(a, in, n);
		CHECK_INT(enc_unbase64(a, text, strlen(text), &out, &len),
		    RC_OK);
		CHECK_INT(len, n);
		CHECK(memcmp(out, in, n) == 0);
	}
	arena_free(a);
}

static void
test_base64_refused(void)
{
	/* the last two carry bits under the padding */
	static const char *const bad[] = {"Z", "Zg",
	    "Zg=", "Zg===", "Z===", "====", "Zm=v", "Zm9v\n", "Zm 9v",
	    "Zm9v=", "Zm-_", "=Zm9", "Zg==Zg==", "Zh==", "Zm9="};
	struct arena *a = arena_new();
	uint8_t *out;
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (enc_unbase64(a, bad[i], strlen(bad[i]), &out, &len) !=
		    RC_INVALID)
			printf("  accepted: %s\n", bad[i]);
		CHECK_INT(enc_unbase64(a, bad[i], strlen(bad[i]), &out, &len),
		    RC_INVALID);
	}
	arena_free(a);
}

static void
test_base64_lines(void)
{
	static const char *const bad[] = {"Zm9v\nZg",
	    "Zg==\nZg==", "Z m=", "Zm9v\vZg==", "Z===", "====", "Zg==Zg=="};
	struct arena *a = arena_new();
	uint8_t *out;
	size_t len;

	CHECK_INT(enc_unbase64_lines(a, " Zm\t9v\r\nYg =\n= \n", 16, &out,
		      &len),
	    RC_OK);
	CHECK_INT(len, 4);
	CHECK(memcmp(out, "foob", 4) == 0);
	CHECK_INT(enc_unbase64_lines(a, "\n ", 2, &out, &len), RC_OK);
	CHECK_INT(len, 0);
	CHECK_INT(enc_unbase64(a, "Zm9v\n", 5, &out, &len), RC_INVALID);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(enc_unbase64_lines(a, bad[i], strlen(bad[i]), &out,
			      &len),
		    RC_INVALID);
	arena_free(a);
}

static void
test_i64(void)
{
	static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "1x",
	    "0x10", "1.0", "--1", "9223372036854775808", "-9223372036854775809",
	    "99999999999999999999999"};
	int64_t v = 42;

	CHECK_INT(enc_parse_i64("0", 0, 10, &v), RC_OK);
	CHECK_INT(v, 0);
	CHECK_INT(enc_parse_i64("9223372036854775807", INT64_MIN, INT64_MAX,
		      &v),
	    RC_OK);
	CHECK(v == INT64_MAX);
	CHECK_INT(enc_parse_i64("-9223372036854775808", INT64_MIN, INT64_MAX,
		      &v),
	    RC_OK);
	CHECK(v == INT64_MIN);
	CHECK_INT(enc_parse_i64("10", 0, 10, &v), RC_OK);
	CHECK_INT(enc_parse_i64("11", 0, 10, &v), RC_INVALID);
	CHECK_INT(enc_parse_i64("-1", 0, 10, &v), RC_INVALID);
	CHECK_INT(v, 10); /* untouched */
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(enc_parse_i64(bad[i], INT64_MIN, INT64_MAX, &v),
		    RC_INVALID);
}

static void
test_duration(void)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {{"0", 0}, {"0s", 0}, {"250ms", 250}, {"2s", 2000},
	    {"1h30m", 5400000}, {"1m1ms", 60001}, {"1.5s", 1500}, {"0.001s", 1},
	    {"168h", 604800000}, {"1h2m3s4ms", 3723004}};
	static const char *const bad[] = {"", "1", "s", "1d", "-1s", "1 s",
	    " 1s", "1s ", "1.s", ".5s", "1h30", "0.5ms", "1.0000000001h",
	    "1.2.3s", "9223372036854775807h", "99999999999999999999s",
	    "2562047788015h2562047788015h"};
	int64_t ms = 1;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		CHECK_INT(enc_parse_duration_ms(good[i].text, &ms), RC_OK);
		CHECK_INT(ms, good[i].ms);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (enc_parse_duration_ms(bad[i], &ms) == RC_OK)
			printf("  accepted: %s\n", bad[i]);
		CHECK_INT(enc_parse_duration_ms(bad[i], &ms), RC_INVALID);
	}
}

static void
test_sha256(void)
{
	char out[65];

	enc_sha256_hex("abc", 3, out);
	CHECK_STR(out, "ba7816bf8f01cfea414140de5dae2223"
		       "b00361a396177a9cb410ff61f20015ad");
}

static void
test_equal(void)
{
	CHECK(enc_equal_ct("", ""));
	CHECK(enc_equal_ct("abc", "abc"));
	CHECK(!enc_equal_ct("abc", "abd"));
	CHECK(!enc_equal_ct("abc", "ab"));
	CHECK(!enc_equal_ct("", "a"));
}

static void
test_utf8(void)
{
	static const char *const good[] = {"", "plain", "\xc3\xa9",
	    "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf", "\xee\x80\x80",
	    "\xf4\x8f\xbf\xbf", "a\xc2\x80z"};
	static const char *const bad[] = {"\x80", "\xc3", "a\xc3", "\xc0\x80",
	    "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80",
	    "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
	    "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe2\x82",
	    "\xf0\x9f\x98", "\xe2\x28\xa1", "\xe2\x82\x28"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		CHECK(enc_is_utf8(good[i], strlen(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK(!enc_is_utf8(bad[i], strlen(bad[i])));
	CHECK(!enc_is_utf8("a\0b", 3));
	/* a character cut by the length counts as broken */
	CHECK(!enc_is_utf8("\xe2\x82\xac", 2));
}

/* RFC 4648 section 5, RFC 7515 appendix C. */
static void
test_base64url(void)
{
	static const char *const bad[] = {"A", "AA=", "AA==", "AAAA=", "AAAAA",
	    "A A", "AA\n", "A+AA", "A/AA", "AB", "AAB", "A.AA", "=", " ",
	    "\xc3\xa4", "AAAA\n"};
	static const uint8_t octets[] = {3, 236, 255, 224, 193};
	struct arena *a = arena_new();
	uint8_t in[67], *out = NULL;
	char *text;
	size_t len;

	CHECK_STR(enc_base64url(a, octets, sizeof(octets)), "A-z_4ME");
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 151 + 250);
	for (size_t n = 0; n <= sizeof(in); n++) {
		text = enc_base64url(a, in, n);
		CHECK_INT(strlen(text), (n * 4 + 2) / 3);
		CHECK_INT(enc_unbase64url(a, text, strlen(text), &out, &len),
		    RC_OK);
		CHECK_INT(len, n);
		CHECK(memcmp(out, in, n) == 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(enc_unbase64url(a, bad[i], strlen(bad[i]), &out,
			      &len),
		    RC_INVALID);
	CHECK_INT(enc_unbase64url(a, "AA\0A", 4, &out, &len), RC_INVALID);
	arena_free(a);
}

/* RFC 4231, cases 1, 2 and 6, and the keys do not stay. */
static void
test_hmac(void)
{
	uint8_t key[131], mac[32];
	char hex[65];

	memset(key, 0x0b, 20);
	enc_hmac_sha256(key, 20, "Hi There", 8, mac);
	enc_hex(mac, sizeof(mac), hex);
	CHECK_STR(hex, "b0344c61d8db38535ca8afceaf0bf12b"
		       "881dc200c9833da726e9376c2e32cff7");
	enc_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac);
	enc_hex(mac, sizeof(mac), hex);
	CHECK_STR(hex, "5bdcc146bf60754e6a042426089575c7"
		       "5a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	enc_hmac_sha256(key, sizeof(key),
	    "Test Using Larger Than Block-Size Key - Hash Key First", 54, mac);
	enc_hex(mac, sizeof(mac), hex);
	CHECK_STR(hex, "60e431591ee0b67f0d8a26aacbf5b77f"
		       "8e0bc6213728c5140546040f0ee37f54");
}

static void
test_decimal(void)
{
	char out[24];

	CHECK_STR(enc_put_u64(0, out), "0");
	CHECK_STR(enc_put_u64(200, out), "200");
	CHECK_STR(enc_put_u64(UINT64_MAX, out), "18446744073709551615");
}

CHECK_MAIN(CHECK_ROW(test_hmac), CHECK_ROW(test_decimal),
    CHECK_ROW(test_base64url), CHECK_ROW(test_hex),
    CHECK_ROW(test_base64_known), CHECK_ROW(test_base64_round),
    CHECK_ROW(test_base64_refused), CHECK_ROW(test_base64_lines),
    CHECK_ROW(test_i64), CHECK_ROW(test_duration), CHECK_ROW(test_sha256),
    CHECK_ROW(test_equal), CHECK_ROW(test_utf8))
