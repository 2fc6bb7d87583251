/*
 * outbound: to which addresses a call that an operator's URL names may go.
 *
 * A URL could lead to what only this host reaches: its own services, the
 * metadata of a cloud.  It is judged by the address that is connected to, at
 * that moment, so that no name can answer one thing first and another then.
 */
#ifndef COMMON_HTTP_OUTBOUND_H
#define COMMON_HTTP_OUTBOUND_H

#include <stdbool.h>

struct sockaddr;

struct outbound {
	bool refuses_private; /* RFC 1918, shared and unique local ones too */
	bool allows_loopback; /* for tests, and what stands beside us */
};

/* NULL, or what the address is, as "a loopback address".  Static text. */
const char *outbound_refuses(const struct outbound *o,
    const struct sockaddr *address);

#endif
