/*
 * bus: nng sockets joined to the loop.
 *
 * Every scheduler listens on its own address; a peer keeps one socket per
 * address and link (hints PUSH/PULL, work REQ/REP, events PUB/SUB), since one
 * nng socket with several dialers spreads over all peers.  nng's threads only
 * signal an eventfd; all frames are handled on the loop.  Addresses:
 * "ipc:///run/x/sched-1" gives the sockets ".hint", ".work" and ".events";
 * "tls+tcp://host:7400" gives the ports 7400, 7401 and 7402.
 */
#ifndef COMMON_BUS_BUS_H
#define COMMON_BUS_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/bus/frame.h"
#include "common/db/home.h"
#include "common/loop/loop.h"

enum { BUS_PEER_TEXT_MAX = 64 };

struct bus_tls { /* all NULL on ipc:// and loopback tcp:// */
	const char *ca_file;
	const char *cert_file;
	const char *key_file;
};

/* Who is at the other end of a connection, for the log: "pid 17", an address,
 * or "a peer that is gone". */
void bus_peer_text(uint32_t pipe, char out[BUS_PEER_TEXT_MAX]);

/* --- before the start --- */

/* What bus_server_new and bus_client_new would refuse of addresses and TLS
 * files, without listening or dialling.  RC_INVALID, RC_NOT_IMPLEMENTED (no
 * TLS in this nng): logged.  An address that is taken is not found. */
rc bus_server_check(const char *url, const struct bus_tls *tls) MUST_CHECK;
rc bus_client_check(const char *const *urls,
    const struct bus_tls *tls) MUST_CHECK;

/* --- the scheduler's side --- */
struct bus_server; /* defined in server.c */

struct bus_server_ops {
	void (*on_hint)(void *arg, uint32_t pipe, const struct frame *f);
	/* Answer later with bus_server_reply(reply_to); pipe names the peer's
	 * connection.  f is valid during the call only. */
	void (*on_request)(void *arg, uint64_t reply_to, uint32_t pipe,
	    const struct frame *f);
	void (*on_pipe_closed)(void *arg, uint32_t pipe);
	/* Somebody connected: answer with a beat (bus_server_reply), so that
	 * it need not wait for the next. */
	void (*on_hello)(void *arg, uint64_t reply_to, uint32_t pipe,
	    const struct frame *f);
};

/* When a certificate of the bus, or its CA if sooner, ends: seconds since
 * 1970.  Both 0: there is none. */
struct bus_cert {
	int64_t ends_unix;
	int64_t near_unix; /* from then on somebody has to be told */
};

/* RC_INVALID: the address or the TLS files are wrong; RC_BUSY: somebody
 * listens there; RC_IO.  All logged.  ipc sockets get mode 0600, 0660 in a
 * directory that is open to its group. */
rc bus_server_new(struct loop *l, const char *url, const struct bus_tls *tls,
    const struct bus_server_ops *ops, void *arg,
    struct bus_server **out) MUST_CHECK;
/* Not from a callback of the bus. */
void bus_server_free(struct bus_server *s);
/* Once for each request or hello; of other kinds none arrives, the bus answers
 * those itself.  request_id of f is filled in.  A reply to a peer that
 * is gone is dropped, and so are those past 64 unread by one peer. */
void bus_server_reply(struct bus_server *s, uint64_t reply_to,
    const struct frame *f);
void bus_server_publish(struct bus_server *s, const struct frame *f);
/* The listener's. */
struct bus_cert bus_server_cert(const struct bus_server *s);

/* --- the side of apiservers and workers --- */
struct bus_client; /* defined in client.c */

struct bus_client_ops {
	/* Events of the leader we follow, none of which is missed from
	 * on_leader on.  NULL: not wanted; then a leader is followed as soon
	 * as it can be asked. */
	void (*on_event)(void *arg, const struct frame *f);
	/* The leader changed; term 0: none known (no beat for 500 ms, or the
	 * connection for requests to it closed). */
	void (*on_leader)(void *arg, uint64_t term);
};

/* urls: NULL-terminated, at most 16.  Dials in the background, for ever.
 * RC_INVALID: an address or the TLS files are wrong; logged. */
rc bus_client_new(struct loop *l, const char *const *urls,
    const struct bus_tls *tls, const struct bus_client_ops *ops, void *arg,
    struct bus_client **out) MUST_CHECK;
/* Forgets the requests under way; not from a callback of the bus. */
void bus_client_free(struct bus_client *c);
/* home: told of in hellos, and compared with what beats tell; a scheduler of
 * another database server is not followed.  It outlives the client. */
void bus_client_set_home(struct bus_client *c, struct db_home *home);
/* A scheduler that is with another database server, in words; NULL: none. */
const char *bus_client_other_server(const struct bus_client *c);
/* The term of the leader whose beat was heard within 500 ms, else 0. */
uint64_t bus_client_term(const struct bus_client *c);
/* Our own; zeros without TLS. */
struct bus_cert bus_client_cert(const struct bus_client *c);
/* The certificates of the bus: our own (address NULL), then each scheduler's
 * that told of it in its last beat.  Nothing without TLS.  An address lives as
 * long as the client. */
typedef void bus_cert_fn(void *arg, const char *address,
    const struct bus_cert *cert);
void bus_client_certs(const struct bus_client *c, bus_cert_fn *fn, void *arg);
/* A hint to the leader (to every scheduler when none is known); never
 * blocks, may be lost. */
void bus_client_hint(struct bus_client *c, const char *body, size_t len);

/* Called once: RC_OK and the reply, RC_TIMEOUT, RC_PEER_GONE. */
typedef void bus_reply_fn(void *arg, rc code, const struct frame *reply);
/* To the leader.  RC_UNAVAILABLE when none is known; done is then not
 * called.  Any number may be under way. */
rc bus_client_request(struct bus_client *c, const struct frame *f,
    int64_t timeout_ms, bus_reply_fn *done, void *arg) MUST_CHECK;

#endif
