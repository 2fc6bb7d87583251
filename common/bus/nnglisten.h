/*
 * nnglisten: where one nng socket listens, and how it stays reachable there.
 *
 * A socket file may be removed under a running process (a cleaner of /run, a
 * hand): who is connected notices nothing, and nobody else can connect any
 * more.  So the path is looked at again and again, and where it is gone, or
 * a dead process's, the socket listens anew.  A socket file of another living
 * process is never removed: not at the start, not at a look, not at the end.
 * nng removes what lies at its listener's path when that ends; it therefore
 * listens at a name of its own, which is then made the public one.
 *
 * Call from the loop only.
 */
#ifndef COMMON_BUS_NNGLISTEN_H
#define COMMON_BUS_NNGLISTEN_H

#include <stdint.h>

#include <nng/nng.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/bus/addr.h"

struct nng_tls_config;
struct nnglisten; /* defined in nnglisten.c */

/* cfg: NULL without TLS; its own reference is taken by nng.  RC_BUSY: somebody
 * listens there; RC_IO.  Logged. */
rc nnglisten_new(nng_socket sock, const struct bus_addr *addr,
    enum bus_link link, struct nng_tls_config *cfg,
    struct nnglisten **out) MUST_CHECK;
/* After the socket's end.  Removes the socket file where it is ours; NULL is a
 * no-op. */
void nnglisten_free(struct nnglisten *l);
/* Whether the path still leads here; listens anew and logs if not. */
void nnglisten_look(struct nnglisten *l);
/* For connections from now on (nng has one handshake prepared: the next one
 * still sees the former).  Those that are there stay. */
rc nnglisten_set_tls(struct nnglisten *l,
    struct nng_tls_config *cfg) MUST_CHECK;
/* How many peers were refused for their certificate since the last call: nng
 * says it in its statistics only. */
uint64_t nnglisten_refused(struct nnglisten *l);

#endif
