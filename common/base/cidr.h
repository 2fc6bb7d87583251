/*
 * cidr: a block of addresses, "192.0.2.0/24" or "2001:db8::/120" (RFC 4632
 * section 3.1, RFC 4291 section 2.3), or an address alone.
 */
#ifndef COMMON_BASE_CIDR_H
#define COMMON_BASE_CIDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

struct sockaddr_storage;

enum {
	CIDR_TEXT_MAX = 49, /* 45 of an address, "/128" */
	/* Bits behind the prefix of a block whose hosts can be told one by
	 * one: 4096 addresses. */
	CIDR_HOST_BITS_MAX = 12,
	CIDR_HOSTS_MAX = 1 << CIDR_HOST_BITS_MAX
};

struct cidr {
	bool is_v4;
	unsigned host_bits; /* behind the prefix; 0: one address */
	uint8_t first[16];  /* host bits 0, network order; of IPv4 4 octets */
};

/* Bits behind the prefix may be set: 192.0.2.7/24 names the block that it lies
 * in.  RC_INVALID: it is none; zones ("fe80::1%eth0") are not taken. */
rc cidr_parse(const char *text, struct cidr *out) MUST_CHECK;
/* How many hosts it has; 0 with more than CIDR_HOST_BITS_MAX.  Of IPv4 the
 * first and last of four addresses or more are the network's own and that of
 * a broadcast, and not counted (RFC 3021: of two, both are hosts). */
size_t cidr_hosts(const struct cidr *c);
/* The i-th of those, port 0. */
void cidr_host(const struct cidr *c, size_t i, struct sockaddr_storage *out);

#endif
