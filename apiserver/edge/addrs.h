/*
 * addrs: how many connections each address holds.
 *
 * Addresses count by party (peer_party).  Event loop only.
 */
#ifndef APISERVER_EDGE_ADDRS_H
#define APISERVER_EDGE_ADDRS_H

#include <stddef.h>

#include "apiserver/edge/peer.h"

struct addrs; /* defined in addrs.c */

struct addrs *addrs_new(void);
void addrs_free(struct addrs *a);
/* One more; gives how many there are now. */
size_t addrs_add(struct addrs *a, const struct peer_addr *addr);
/* One that was added has ended. */
void addrs_remove(struct addrs *a, const struct peer_addr *addr);

#endif
