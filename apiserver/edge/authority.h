/*
 * authority: whom a request is for: the host and port of its Host field or of
 * an absolute target.
 *
 * RFC 3986 section 3.2, and less: what no host on a network is called (bytes
 * in percent form, user names, zones, ports beyond 65535) is refused, so that
 * it has one reading only.  Foreign bytes (fuzzed); no I/O and no allocation.
 */
#ifndef APISERVER_EDGE_AUTHORITY_H
#define APISERVER_EDGE_AUTHORITY_H

#include <stdbool.h>
#include <stddef.h>

struct authority {
	const char *host; /* into the text; an IPv6 address in its brackets */
	size_t len;
	unsigned port; /* 0: it names none */
};

/*
 * Whether the len bytes at text are "host" or "host:port": a name of labels
 * (letters, digits, "-" and "_", a dot at its end or none), four decimal
 * numbers, or an IPv6 address in brackets.  *out is set only then.
 */
bool authority_read(const char *text, size_t len, struct authority *out);
/* Whether both are the same place, where no port means dflt. */
bool authority_is_same(const struct authority *a, const struct authority *b,
    unsigned dflt);

#endif
