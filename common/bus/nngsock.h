/*
 * nngsock: one nng socket joined to the loop.
 *
 * nng's threads do two things only: they make the socket's receive descriptor
 * readable, and they push pipe events on a lock-free list and wake an
 * eventfd.  Both callbacks run on the loop.  A socket is never freed from
 * one of them, and never from a thread of nng.
 */
#ifndef COMMON_BUS_NNGSOCK_H
#define COMMON_BUS_NNGSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/bus/addr.h"
#include "common/bus/bus.h"
#include "common/bus/frame.h"
#include "common/loop/loop.h"

struct nng_msg;
struct nng_tls_config;
struct nngsock; /* defined in nngsock.c */

enum nngsock_role {
	NNGSOCK_PULL,
	NNGSOCK_REP, /* raw: pipe and request id head each message */
	NNGSOCK_PUB,
	NNGSOCK_PUSH,
	NNGSOCK_REQ, /* raw: the request id heads each message */
	NNGSOCK_SUB, /* to everything */
	NNGSOCK_ROLE_COUNT
};

struct nngsock_ops {
	/* m stays the socket's.  NULL where the role does not receive. */
	void (*on_msg)(void *arg, struct nng_msg *m);
	/* A connection came (before anything of it is received) or went.
	 * NULL: not wanted. */
	void (*on_pipe)(void *arg, uint32_t pipe, bool is_up);
};

/* ops must outlive the socket. */
rc nngsock_new(struct loop *l, enum nngsock_role role,
    const struct nngsock_ops *ops, void *arg, struct nngsock **out) MUST_CHECK;
/* NULL is a no-op.  No callback of the loop runs any more.  Takes 2 seconds
 * at most; past them nng is stuck, and what it still uses is left to it. */
void nngsock_free(struct nngsock *s);
/* nng ends no connection of this process any more, and so makes none anew:
 * only another process helps. */
bool nngsock_is_stuck(void);

/* The connection that a message came by, which may be gone; 0: none. */
uint32_t nngsock_pipe_of(struct nng_msg *m);

/* Both log what went wrong.  cfg: of buscert_load, NULL without TLS; held for
 * as long as it is needed.  RC_BUSY: the address is taken; RC_IO.  Dialling
 * goes on in the background, for ever. */
rc nngsock_listen(struct nngsock *s, const struct bus_addr *addr,
    enum bus_link link, struct nng_tls_config *cfg) MUST_CHECK;
rc nngsock_dial(struct nngsock *s, const struct bus_addr *addr,
    enum bus_link link, struct nng_tls_config *cfg) MUST_CHECK;
/* For handshakes from now on (a listener has the next one prepared with the
 * former); connections that are there stay.  cfg is held. */
void nngsock_set_tls(struct nngsock *s, struct nng_tls_config *cfg);
/* A listening socket: that its socket file still leads to it (nnglisten.h). */
void nngsock_look(struct nngsock *s);
/* How many peers the listener refused for their certificate since the last
 * call: nng says it in its statistics only. */
uint64_t nngsock_refused(struct nngsock *s);

/*
 * Never blocks.  head: the n_head 32-bit words of the raw protocols, in
 * order.  RC_BUSY: nng's queue is full; RC_TOO_LARGE: the body; RC_IO.
 */
rc nngsock_send(struct nngsock *s, const uint32_t *head, size_t n_head,
    const struct frame *f) MUST_CHECK;
/* Hands over now what lies ready, pipe events first (a bounded number). */
void nngsock_read(struct nngsock *s);
/* The same, pipe events only. */
void nngsock_read_pipes(struct nngsock *s);

#endif
