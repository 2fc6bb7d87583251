#include "common/base/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "common/base/attr.h"
#include "tests/unit/check.h"

static const char *
host_text(const struct cidr *c, size_t i)
{
	static char text[INET6_ADDRSTRLEN];
	struct sockaddr_storage at;
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	cidr_host(c, i, &at);
	if (at.ss_family == AF_INET) {
		memcpy(&v4, &at, sizeof(v4));
		CHECK(inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text)));
	} else {
		memcpy(&v6, &at, sizeof(v6));
		CHECK(inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text)));
	}
	return text;
}

static void
test_hosts(void)
{
	static const struct {
		const char *text, *first, *last;
		size_t n;
	} blocks[] = {
	    {"192.0.2.7", "192.0.2.7", "192.0.2.7", 1},
	    {"192.0.2.7/32", "192.0.2.7", "192.0.2.7", 1},
	    {"192.0.2.7/31", "192.0.2.6", "192.0.2.7", 2},
	    {"192.0.2.7/30", "192.0.2.5", "192.0.2.6", 2},
	    {"192.0.2.7/24", "192.0.2.1", "192.0.2.254", 254},
	    {"10.1.255.255/20", "10.1.240.1", "10.1.255.254", 4094},
	    {"2001:db8::7", "2001:db8::7", "2001:db8::7", 1},
	    {"2001:db8::7/126", "2001:db8::4", "2001:db8::7", 4},
	    {"2001:DB8:0::ffff/116", "2001:db8::f000", "2001:db8::ffff", 4096},
	};
	struct cidr c;

	for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
		CHECK_INT(cidr_parse(blocks[i].text, &c), RC_OK);
		CHECK_INT(cidr_hosts(&c), blocks[i].n);
		CHECK_STR(host_text(&c, 0), blocks[i].first);
		CHECK_STR(host_text(&c, blocks[i].n - 1), blocks[i].last);
	}
}

static void
test_too_many_to_tell(void)
{
	static const char *const wide[] = {"10.0.0.0/19", "0.0.0.0/0",
	    "2001:db8::/115", "::/0"};
	struct cidr c;

	for (size_t i = 0; i < ARRAY_LEN(wide); i++) {
		CHECK_INT(cidr_parse(wide[i], &c), RC_OK);
		CHECK_INT(cidr_hosts(&c), 0);
	}
}

static void
test_what_is_none(void)
{
	static const char *const bad[] = {"", "/", "/24", "10.0.0.0/",
	    "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/ 8", "10.0.0.0/8 ",
	    "10.0.0.0/0x8", "10.0.0.0/24/24", "10.0.0", "10.0.0.256",
	    "010.0.0.1", " 10.0.0.1", "10.0.0.1 ", "2001:db8::/129",
	    "fe80::1%eth0", "[::1]", "localhost", "10.0.0.1-10.0.0.9",
	    "1111:2222:3333:4444:5555:6666:7777:8888:9999/64",
	    "10.0.0.0/99999999999999999999"};
	struct cidr c = {.host_bits = 77};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(cidr_parse(bad[i], &c), RC_INVALID);
	CHECK_INT(c.host_bits, 77);
}

CHECK_MAIN(CHECK_ROW(test_hosts), CHECK_ROW(test_too_many_to_tell),
    CHECK_ROW(test_what_is_none))
