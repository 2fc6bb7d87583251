/*
 * hostport: "host:port" and "[address]:port", as people write endpoints.
 */
#ifndef COMMON_BASE_HOSTPORT_H
#define COMMON_BASE_HOSTPORT_H

#include "common/base/attr.h"
#include "common/base/hostname.h"
#include "common/base/rc.h"

struct hostport {
	char host[HOSTNAME_MAX + 1]; /* without brackets */
	int port;                    /* 1 to 65535 */
};

/* RC_INVALID: no name of a host or address (an IPv6 one in brackets, RFC 3986
 * section 3.2.2), or no port. */
rc hostport_parse(const char *text, struct hostport *out) MUST_CHECK;

#endif
