/*
 * Blocks of addresses from bodies and rows: refused, or hosts that are few,
 * and each of which lies in the block.
 */
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/cidr.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_host(const struct cidr *c, size_t i)
{
	unsigned fixed = (c->is_v4 ? 32 : 128) - c->host_bits;
	struct sockaddr_storage at;
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;
	uint8_t bytes[16] = {0};

	cidr_host(c, i, &at);
	if (at.ss_family != (c->is_v4 ? AF_INET : AF_INET6))
		abort();
	memcpy(&v4, &at, sizeof(v4));
	memcpy(&v6, &at, sizeof(v6));
	if (c->is_v4)
		memcpy(bytes, &v4.sin_addr, 4);
	else
		memcpy(bytes, &v6.sin6_addr, 16);
	for (unsigned bit = 0; bit < fixed; bit++) {
		if ((bytes[bit / 8] ^ c->first[bit / 8]) & (0x80U >> bit % 8))
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_strndup((const char *)data, size);
	struct cidr c;
	rc ret = cidr_parse(text, &c);
	size_t n = ret == RC_OK ? cidr_hosts(&c) : 0;

	if (n > CIDR_HOSTS_MAX || (ret != RC_OK && ret != RC_INVALID))
		abort();
	if (n > 0) {
		check_host(&c, 0);
		check_host(&c, n / 2);
		check_host(&c, n - 1);
	}
	free(text);
	return 0;
}
