/*
 * peer: who is at the other end: addresses, and the proxies whose word for
 * one is believed (CERTCTL_TRUSTED_PROXIES).
 *
 * X-Forwarded-For grows at its right end, one address a proxy, and all that
 * stands left of the first proxy of ours may be a lie.  So it is read from
 * the right, and only as far as trusted proxies vouch for it.  The field
 * Forwarded is not looked at.
 */
#ifndef APISERVER_EDGE_PEER_H
#define APISERVER_EDGE_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

#define PEER_TEXT_MAX 46

/* An IPv6 address; one of IPv4 as ::ffff:a.b.c.d. */
struct peer_addr {
	uint8_t bytes[16];
};

struct peer_nets; /* defined in peer.c */

/* The address of a socket; all zeros when it is none of IP. */
struct peer_addr peer_of_socket(const struct sockaddr *sa);
/* IPv4 in its own form. */
void peer_text(const struct peer_addr *a, char out[PEER_TEXT_MAX]);
/* What one party holds usually: an IPv4 address, the /64 of an IPv6 one. */
struct peer_addr peer_party(const struct peer_addr *a);

/* texts: NULL-terminated, "10.0.0.0/8" or "::1".  RC_INVALID: *out_bad is the
 * one that is no network. */
rc peer_nets_new(const char *const *texts, struct peer_nets **out,
    const char **out_bad) MUST_CHECK;
void peer_nets_free(struct peer_nets *n);
bool peer_nets_have(const struct peer_nets *n, const struct peer_addr *a);

/*
 * The client that a trusted proxy at *hop speaks for.  forwarded: the values
 * of X-Forwarded-For joined in their order, or NULL.  The last address that
 * is vouched for, *hop itself when the field says nothing usable.
 */
struct peer_addr peer_behind(const struct peer_nets *trusted,
    const struct peer_addr *hop, const char *forwarded);

#endif
