#include "common/base/cidr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/enc.h"

static void
clear_host_bits(struct cidr *c)
{
	unsigned bits = c->is_v4 ? 32 : 128;

	for (unsigned i = bits - c->host_bits; i < bits; i++)
		c->first[i / 8] &= (uint8_t) ~(0x80U >> i % 8);
}

rc
cidr_parse(const char *text, struct cidr *out)
{
	size_t len = strcspn(text, "/");
	char address[INET6_ADDRSTRLEN];
	struct cidr c = {0};
	int64_t all, prefix;
	rc ret = RC_OK;

	if (len >= sizeof(address))
		return RC_INVALID;
	memcpy(address, text, len);
	address[len] = '\0';
	c.is_v4 = inet_pton(AF_INET, address, c.first) == 1;
	if (!c.is_v4 && inet_pton(AF_INET6, address, c.first) != 1)
		return RC_INVALID;
	prefix = all = c.is_v4 ? 32 : 128;
	if (text[len] == '/')
		ret = enc_parse_i64(text + len + 1, 0, all, &prefix);
	if (ret != RC_OK)
		return RC_INVALID;
	c.host_bits = (unsigned)(all - prefix);
	clear_host_bits(&c);
	*out = c;
	return RC_OK;
}

static bool
has_ends(const struct cidr *c)
{
	return c->is_v4 && c->host_bits >= 2;
}

size_t
cidr_hosts(const struct cidr *c)
{
	if (c->host_bits > CIDR_HOST_BITS_MAX)
		return 0;
	return ((size_t)1 << c->host_bits) - (has_ends(c) ? 2 : 0);
}

void
cidr_host(const struct cidr *c, size_t i, struct sockaddr_storage *out)
{
	uint8_t address[16];
	size_t last = c->is_v4 ? 3 : 15;

	assert(i < cidr_hosts(c));
	if (has_ends(c))
		i++;
	memcpy(address, c->first, sizeof(address));
	address[last] |= (uint8_t)(i & 0xff);
	address[last - 1] |= (uint8_t)(i >> 8);
	memset(out, 0, sizeof(*out));
	if (c->is_v4) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out;

		v4->sin_family = AF_INET;
		memcpy(&v4->sin_addr, address, 4);
	} else {
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out;

		v6->sin6_family = AF_INET6;
		memcpy(&v6->sin6_addr, address, 16);
	}
}
