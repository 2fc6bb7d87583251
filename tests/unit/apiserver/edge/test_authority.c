#include "apiserver/edge/authority.h"

#include "common/base/attr.h"
#include "tests/unit/check.h"

static struct authority a;

static bool
reads(const char *text)
{
	return authority_read(text, strlen(text), &a);
}

static bool
same(const char *one, const char *other, unsigned dflt)
{
	struct authority b;

	return reads(one) && authority_read(other, strlen(other), &b) &&
	       authority_is_same(&a, &b, dflt);
}

static void
test_names(void)
{
	static const char *const good[] = {"a", "a.example", "A-b.c_d", "a.",
	    "localhost", "1a", "a1.2b", "xn--bcher-kva.example", "127.0.0.1",
	    "_x", "1.2.3.4", "0.0.0.0"};
	static const char *const bad[] = {"", ".", "..", "a..b", ".a", "a..",
	    "-a", "a-", "a.-b", "a b", "a,b", "a/b", "a?b", "a#b", "u@a",
	    "u:p@a", "a\\b", "a%41", "a%", "a\xc3\xa9", "a\"", "*.a", "a;b",
	    "1", "1.2.3", "256.1.1.1", "1.2.3.4.5", "01.2.3.4", "a.1",
	    "1.2.3.4.", "a\x01"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		CHECK(reads(good[i]));
		CHECK_INT(a.len, strlen(good[i]));
		CHECK_INT(a.port, 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_STR(reads(bad[i]) ? bad[i] : "refused", "refused");
}

static void
test_long_names(void)
{
	char text[300];

	memset(text, 'a', sizeof(text));
	for (size_t i = 63; i < sizeof(text); i += 64)
		text[i] = '.';
	CHECK(authority_read(text, 253, &a));
	CHECK(!authority_read(text, 255, &a));
	CHECK(authority_read(text, 63, &a));
	text[63] = 'a';
	CHECK(!authority_read(text, 64, &a));
}

static void
test_ports(void)
{
	static const char *const bad[] = {"a:0", "a:00000", "a:65536",
	    "a:99999", "a:100000", "a:-1", "a:+1", "a: 1", "a:1 ", "a:1a",
	    "a:0x1", "a:1:2", "a::1", ":", ":1", "[::1]:99999", "[::1]1",
	    "[::1]:x", "[::1]:1:2"};

	CHECK(reads("a:1") && a.port == 1 && a.len == 1);
	CHECK(reads("a:65535") && a.port == 65535);
	CHECK(reads("a:00443") && a.port == 443);
	CHECK(reads("1.2.3.4:8443") && a.port == 8443 && a.len == 7);
	/* RFC 3986 section 3.2.3 knows it, and says what it means. */
	CHECK(reads("a:") && a.port == 0 && a.len == 1);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_STR(reads(bad[i]) ? bad[i] : "refused", "refused");
}

static void
test_ipv6(void)
{
	static const char *const bad[] = {"[]", "[", "[:", "[::1", "::1", "]",
	    "[::1]]", "[[::1]]", "[1.2.3.4]", "[g::1]", "[:::1]", "[1:2:3]",
	    "[::1%25eth0]", "[fe80::1%eth0]", "[v1.a]", "[::1 ]",
	    "[1:2:3:4:5:6:7:8:9]", "[::00001]", "[a.example]"};

	CHECK(reads("[::1]") && a.len == 5 && a.port == 0);
	CHECK(reads("[::1]:8443") && a.len == 5 && a.port == 8443);
	CHECK(reads("[::1]:"));
	CHECK(reads("[2001:DB8::a]"));
	CHECK(reads("[::ffff:1.2.3.4]"));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_STR(reads(bad[i]) ? bad[i] : "refused", "refused");
}

static void
test_same(void)
{
	CHECK(same("a", "A", 443));
	CHECK(same("a", "a:443", 443));
	CHECK(same("a:443", "a:", 443));
	CHECK(!same("a", "a:443", 80));
	CHECK(!same("a:1", "a:2", 443));
	CHECK(!same("a", "b", 443));
	CHECK(!same("a", "ab", 443));
	CHECK(same("[::A]:1", "[::a]:1", 443));
}

CHECK_MAIN(CHECK_ROW(test_names), CHECK_ROW(test_long_names),
    CHECK_ROW(test_ports), CHECK_ROW(test_ipv6), CHECK_ROW(test_same))
