#include "common/base/hostname.h"

#include "common/base/attr.h"
#include "tests/unit/check.h"

#define LABEL "a23456789012345678901234567890123456789012345678901234567890123"

static void
test_names(void)
{
	static const char *const good[] = {"a", "localhost", "a.example.test",
	    "A.Example.TEST", "_dmarc.example.test", "1and1.test",
	    "4.3.2.1.in-addr.arpa", "r3---sn.test", (LABEL ".test"),
	    "xn--bcher-kva.example", "XN--BCHER-KVA.example", "xn--fiqs8s",
	    "www.xn--mgbh0fb.test"};
	static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "-a",
	    "a-", "a.-b", "a b", "a/b", "a:1", (LABEL "4.test"),
	    "\xc3\xbc.test", "a\n", "*"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		CHECK(hostname_is_valid(good[i], false));
		CHECK(hostname_is_valid(good[i], true));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK(!hostname_is_valid(bad[i], false));
		CHECK(!hostname_is_valid(bad[i], true));
	}
	CHECK(!hostname_is_valid(LABEL "." LABEL "." LABEL "." LABEL, false));
}

static void
test_wildcards(void)
{
	CHECK(hostname_is_valid("*.example.test", true));
	CHECK(!hostname_is_valid("*.example.test", false));
	CHECK(!hostname_is_valid("*", true));
	CHECK(!hostname_is_valid("*.", true));
	CHECK(!hostname_is_valid("a.*.test", true));
	CHECK(!hostname_is_valid("*.*.test", true));
	CHECK(!hostname_is_valid("a*.test", true));
}

static void
test_mistyped_addresses_are_no_names(void)
{
	static const char *const bad[] = {"256.1.1.1", "127.1", "1",
	    "1.2.3.4.5", "*.1.2.3.4", "*.4", "1.2.3", "0x7f.1", "0x7f000001",
	    "a.0x", "example.1", "1.2.3.04"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK(!hostname_is_valid(bad[i], true));
		CHECK(!hostname_is_address(bad[i]));
	}
	CHECK(!hostname_is_valid("192.0.2.1", true));
	CHECK(hostname_is_address("192.0.2.1"));
	CHECK(hostname_is_address("2001:db8::1"));
	CHECK(!hostname_is_address("2001:db8::1%eth0"));
}

/* Not decodable, of ASCII only, not in the shortest or the folded form, of
 * characters that no name may hold. */
static void
test_broken_punycode(void)
{
	static const char *const bad[] = {"xn--", "xn--a", "xn--abc-",
	    "xn--99999999999", "xn--example", "xn--example-.test",
	    "www.xn--zzzzzzzz.test", "xn--0", "xn--bcher-kva-", "*.xn--a.test"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK(!hostname_is_valid(bad[i], true));
}

CHECK_MAIN(CHECK_ROW(test_names), CHECK_ROW(test_wildcards),
    CHECK_ROW(test_mistyped_addresses_are_no_names),
    CHECK_ROW(test_broken_punycode))
