/*
 * hostname: what is the name of a host, and what only looks like one.
 *
 * One rule for the names in certificates, the hosts of targets and what
 * agents say of themselves.
 */
#ifndef COMMON_BASE_HOSTNAME_H
#define COMMON_BASE_HOSTNAME_H

#include <stdbool.h>

enum { HOSTNAME_MAX = 253 };

/*
 * Labels of letters, digits, "-" and "_", 63 characters each at most, no "-"
 * at their edges.  A name whose last label is a number is an address, or a
 * mistyped one (RFC 1123, section 2.1), and a label "xn--..." must be what
 * IDNA makes of the name that it stands for.  "*" may stand for the whole
 * first label of several, where may_be_wildcard.
 */
bool hostname_is_valid(const char *text, bool may_be_wildcard);
/* An IPv4 address of four decimal numbers, or an IPv6 address. */
bool hostname_is_address(const char *text);

#endif
