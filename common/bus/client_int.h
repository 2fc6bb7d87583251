/*
 * client_int: what the files of the bus's client share; nobody else includes
 * it.  client.c makes and ends it, client_peer.c keeps the three links to one
 * scheduler, client_follow.c knows whom to follow and what was asked; calls go
 * in this order.
 */
#ifndef COMMON_BUS_CLIENT_INT_H
#define COMMON_BUS_CLIENT_INT_H

#include "common/bus/addr.h"
#include "common/bus/bus.h"
#include "common/bus/certwatch.h"
#include "common/bus/nngsock.h"
#include "common/bus/origin.h"

/* Schedulers a client knows; a deployment has two or three. */
#define PEER_MAX 16

/* One scheduler address. */
struct peer {
	struct bus_client *client;
	struct bus_addr addr;
	struct nngsock *hint; /* all three NULL while they can't be made */
	struct nngsock *work;
	struct nngsock *events;
	struct timer *silence; /* a look whether it was heard of late */
	bool is_silent;        /* and was said to be */
	int64_t heard_ms;      /* its last beat, or when it was dialled */
	uint32_t work_pipe;    /* 0: not connected */
	bool has_dialled_all;  /* not work alone */
	bool is_leading;       /* by its last beat */
	uint64_t term;
	int64_t beat_ms;
	struct bus_cert cert; /* by its last beat; zeros: not said */
	int told_timeline;    /* in our last hello */
	int64_t told_ms;      /* when that was */
	/* By its last beat it is with another database server; "": it isn't. */
	char other[ORIGIN_WHY_MAX];
};

struct pending; /* defined in client_follow.c */

struct bus_client {
	struct loop *loop;
	const struct bus_client_ops *ops;
	void *arg;
	struct db_home *home;   /* NULL: not told of */
	struct bus_tls tls;     /* copies */
	struct certwatch *cert; /* NULL without TLS */
	struct timer *trust;    /* the followed leader's beat grows too old */
	struct peer *leader;    /* NULL: none */
	uint64_t term;          /* the leader's; 0: none */
	struct pending *pending;
	uint32_t last_id;
	size_t n_peers;
	struct peer peers[PEER_MAX];
};

/* --- client_follow.c --- */
void follow_init(struct bus_client *c);
/* Requests under way are dropped without a word; call after the links are
 * closed. */
void follow_fini(struct bus_client *c);
/* Chooses the leader anew, by what is known of the peers now. */
void follow_elect(struct bus_client *c);
/* Ends with RC_PEER_GONE what is under way to peer (NULL: to all).  Requests
 * made by the callbacks meanwhile stay. */
void follow_end_requests(struct bus_client *c, const struct peer *peer);
/* One that nobody waits for any more is dropped. */
void follow_take_reply(struct bus_client *c, const struct peer *peer,
    uint32_t id, const struct frame *f);

/* --- client_peer.c --- */
/* p's client and address are set.  Logged; p is to be closed in any case. */
rc peer_open(struct peer *p) MUST_CHECK;
void peer_close(struct peer *p);
/* The certificate's files changed: what is dialled from now on shows what they
 * hold now.  Connections that are there stay. */
void peer_set_tls(struct peer *p);
/* It beats, and is with another database server than we are. */
bool peer_is_other(const struct peer *p);
void peer_hint(struct peer *p, const struct frame *f);

#endif
