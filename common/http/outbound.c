#include "common/http/outbound.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/base/attr.h"

enum range_kind { LOOPBACK, PRIVATE, NEVER };

struct range {
	uint32_t net;
	int bits;
	enum range_kind kind;
	const char *what;
};

#define METADATA "a cloud's metadata address"

/* RFC 6890; before them what lies in one of the others and tells secrets to
 * whoever asks from there. */
static const struct range ranges[] = {
    {0x646464c8, 32, NEVER, METADATA}, /* 100.100.100.200, Alibaba's */
    {0xc00000c0, 32, NEVER, METADATA}, /* 192.0.0.192, Oracle's */
    {0x00000000, 8, NEVER, "an unspecified address"},
    {0x0a000000, 8, PRIVATE, "a private address"},
    {0x64400000, 10, PRIVATE, "a shared address"},
    {0x7f000000, 8, LOOPBACK, "a loopback address"},
    {0xa9fe0000, 16, NEVER, "a link-local address"},
    {0xac100000, 12, PRIVATE, "a private address"},
    {0xc0a80000, 16, PRIVATE, "a private address"},
    {0xe0000000, 4, NEVER, "a multicast address"},
    {0xf0000000, 4, NEVER, "a reserved address"},
};

static const char *
judge(const struct outbound *o, enum range_kind kind, const char *what)
{
	if (kind == LOOPBACK && o->allows_loopback)
		return NULL;
	if (kind == PRIVATE && !o->refuses_private)
		return NULL;
	return what;
}

static const char *
refuses_v4(const struct outbound *o, uint32_t ip)
{
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		const struct range *r = &ranges[i];

		if (ip >> (32 - r->bits) == r->net >> (32 - r->bits))
			return judge(o, r->kind, r->what);
	}
	return NULL;
}

static uint32_t
word(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 |
	       (uint32_t)b[2] << 8 | b[3];
}

/* fd00:ec2::254 and fd20:ce::254, Amazon's and Google's. */
static bool
is_metadata_v6(const uint8_t *b)
{
	static const uint8_t all[][16] = {
	    {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54},
	    {0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (memcmp(b, all[i], sizeof(all[i])) == 0)
			return true;
	}
	return false;
}

/* Also the IPv4 address that one of IPv6 stands for: mapped, compatible, by
 * NAT64 or 6to4. */
static const char *
refuses_v6(const struct outbound *o, const struct in6_addr *a)
{
	static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	const uint8_t *b = a->s6_addr;

	if (IN6_IS_ADDR_UNSPECIFIED(a))
		return "an unspecified address";
	if (IN6_IS_ADDR_LOOPBACK(a))
		return judge(o, LOOPBACK, "a loopback address");
	if (IN6_IS_ADDR_V4MAPPED(a) || IN6_IS_ADDR_V4COMPAT(a) ||
	    memcmp(b, nat64, sizeof(nat64)) == 0)
		return refuses_v4(o, word(b + 12));
	if (b[0] == 0x20 && b[1] == 0x02)
		return refuses_v4(o, word(b + 2));
	if (b[0] == 0xff)
		return "a multicast address";
	if (b[0] == 0xfe && (b[1] & 0xc0) == 0x80)
		return "a link-local address";
	if (b[0] == 0xfe && (b[1] & 0xc0) == 0xc0)
		return judge(o, PRIVATE, "a site-local address");
	if (is_metadata_v6(b))
		return METADATA;
	if ((b[0] & 0xfe) == 0xfc)
		return judge(o, PRIVATE, "a unique local address");
	return NULL;
}

const char *
outbound_refuses(const struct outbound *o, const struct sockaddr *address)
{
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	switch (address->sa_family) {
	case AF_INET:
		memcpy(&v4, address, sizeof(v4));
		return refuses_v4(o, ntohl(v4.sin_addr.s_addr));
	case AF_INET6:
		memcpy(&v6, address, sizeof(v6));
		return refuses_v6(o, &v6.sin6_addr);
	default:
		return "no Internet address";
	}
}
