/*
 * To which addresses calls may go: each range, its edges, and IPv4 addresses
 * in IPv6's clothes.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "common/base/attr.h"
#include "common/http/outbound.h"
#include "tests/unit/check.h"

static const char *
judged(const struct outbound *o, const char *text)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return outbound_refuses(o, (const struct sockaddr *)&v4);
	CHECK_INT(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
	return outbound_refuses(o, (const struct sockaddr *)&v6);
}

static const char *const public[] = {"1.1.1.1", "9.255.255.255", "11.0.0.0",
    "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
    "192.167.255.255", "192.169.0.0", "223.255.255.255", "2606:4700::1111",
    "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"};
static const char *const private[] = {"10.0.0.0", "10.255.255.255",
    "100.64.0.0", "100.127.255.255", "172.16.0.0", "172.31.255.255",
    "192.168.0.0", "192.168.255.255", "fc00::1", "fdff::1", "fec0::1",
    "::ffff:10.1.2.3", "::10.1.2.3", "64:ff9b::a01:203", "2002:a01:203::"};
static const char *const loopback[] = {"127.0.0.1", "127.255.255.255", "::1",
    "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"};
static const char *const never[] = {"0.0.0.0", "0.255.255.255", "169.254.0.0",
    "169.254.169.254", "224.0.0.1", "239.255.255.255", "240.0.0.0",
    "255.255.255.255", "::", "fe80::1", "febf::1", "ff02::1", "100.100.100.200",
    "192.0.0.192", "fd00:ec2::254", "fd20:ce::254", "::ffff:100.100.100.200",
    "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::"};

static void
check_all(const struct outbound *o, const char *const *all, size_t n,
    bool is_refused)
{
	for (size_t i = 0; i < n; i++) {
		if ((judged(o, all[i]) != NULL) != is_refused) {
			printf("  %s\n", all[i]);
			CHECK(false);
		}
	}
}

static void
test_as_it_is(void)
{
	const struct outbound o = {0};

	check_all(&o, public, ARRAY_LEN(public), false);
	check_all(&o, private, ARRAY_LEN(private), false);
	check_all(&o, loopback, ARRAY_LEN(loopback), true);
	check_all(&o, never, ARRAY_LEN(never), true);
}

static void
test_as_told(void)
{
	const struct outbound o = {
	    .refuses_private = true,
	    .allows_loopback = true,
	};

	check_all(&o, public, ARRAY_LEN(public), false);
	check_all(&o, private, ARRAY_LEN(private), true);
	check_all(&o, loopback, ARRAY_LEN(loopback), false);
	check_all(&o, never, ARRAY_LEN(never), true);
}

static void
test_no_address(void)
{
	const struct sockaddr_un un = {.sun_family = AF_UNIX};
	const struct outbound o = {0};

	CHECK(outbound_refuses(&o, (const struct sockaddr *)&un));
	CHECK_STR(judged(&o, "169.254.169.254"), "a link-local address");
}

CHECK_MAIN(CHECK_ROW(test_as_it_is), CHECK_ROW(test_as_told),
    CHECK_ROW(test_no_address))
