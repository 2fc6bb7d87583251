#include "common/bus/bus.h"

#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include <uthash.h>

#include "common/base/mem.h"
#include "common/bus/buscert.h"
#include "common/bus/certwatch.h"
#include "common/bus/nngsock.h"
#include "common/log/log_peer.h"

/* At the paths: who starts while a socket file is missing waits for that. */
#define LOOK_MS 250
/* At nng's statistics, which cost more: each second. */
#define LOOKS_A_TELL 4

/* A live connection to the work socket. */
struct peer_pipe {
	uint32_t pipe;
	bool has_asked; /* the owner knows of it */
	UT_hash_handle hh;
};

struct bus_server {
	struct loop *loop;
	const struct bus_server_ops *ops;
	void *arg;
	struct nngsock *hint;
	struct nngsock *work;
	struct nngsock *events;
	struct peer_pipe *pipes;
	struct timer *look; /* at what may have changed around us */
	unsigned looks;
	struct bus_tls tls;     /* copies */
	struct certwatch *cert; /* NULL without TLS */
};

static void
log_bad(uint32_t pipe, const char *link, const char *what)
{
	char peer[BUS_PEER_TEXT_MAX];

	bus_peer_text(pipe, peer);
	log_peer(LOG_WARN, "BUS-BAD-FRAME", peer, "%s link, %s: %s", link, peer,
	    what);
}

static void
on_hint_msg(void *arg, nng_msg *m)
{
	struct bus_server *s = arg;
	uint32_t pipe = nngsock_pipe_of(m);
	struct frame f;
	rc ret;

	ret = frame_decode(nng_msg_body(m), nng_msg_len(m), &f);
	if (ret != RC_OK)
		log_bad(pipe, "hint", "not a frame of this version, dropped");
	else if (f.kind != FRAME_HINT)
		log_bad(pipe, "hint", "not a hint, dropped");
	else
		s->ops->on_hint(s->arg, pipe, &f);
}

static void
on_work_pipe(void *arg, uint32_t pipe, bool is_up)
{
	struct bus_server *s = arg;
	struct peer_pipe *p;
	bool has_asked;

	HASH_FIND(hh, s->pipes, &pipe, sizeof(pipe), p);
	if (is_up && !p) {
		p = mem_zalloc(sizeof(*p));
		p->pipe = pipe;
		HASH_ADD(hh, s->pipes, pipe, sizeof(p->pipe), p);
	} else if (!is_up && p) {
		has_asked = p->has_asked;
		HASH_DEL(s->pipes, p);
		free(p);
		if (has_asked)
			s->ops->on_pipe_closed(s->arg, pipe);
	}
}

/*
 * NULL when the connection is gone: its last requests may still lie in nng's
 * queue, and what would be handed out for them nobody would ever give back.
 */
static struct peer_pipe *
find_pipe(struct bus_server *s, uint32_t pipe)
{
	struct peer_pipe *p;

	HASH_FIND(hh, s->pipes, &pipe, sizeof(pipe), p);
	if (p)
		return p;
	nngsock_read_pipes(s->work);
	HASH_FIND(hh, s->pipes, &pipe, sizeof(pipe), p);
	return p;
}

static void
on_work_msg(void *arg, nng_msg *m)
{
	struct bus_server *s = arg;
	const uint8_t *head = nng_msg_header(m);
	struct peer_pipe *p;
	uint64_t reply_to = 0;
	struct frame f;
	rc ret;

	/* Pipe and request id; more would mean a device in between. */
	if (nng_msg_header_len(m) != 8) {
		log_bad(nngsock_pipe_of(m), "work",
		    "came through a device, dropped");
		return;
	}
	for (int i = 0; i < 8; i++)
		reply_to = reply_to << 8 | head[i];
	p = find_pipe(s, (uint32_t)(reply_to >> 32));
	if (!p)
		return;

	ret = frame_decode(nng_msg_body(m), nng_msg_len(m), &f);
	if (ret == RC_OK && f.kind == FRAME_HELLO) {
		s->ops->on_hello(s->arg, reply_to, p->pipe, &f);
		return;
	}
	if (ret != RC_OK || f.kind != FRAME_WORK) {
		log_bad(p->pipe, "work",
		    ret == RC_OK ? "unknown kind, answered so"
				 : "not a frame of this version, answered so");
		f = (struct frame){.kind = FRAME_UNKNOWN};
		bus_server_reply(s, reply_to, &f);
		return;
	}
	p->has_asked = true;
	s->ops->on_request(s->arg, reply_to, p->pipe, &f);
}

static void
log_reply_lost(uint32_t pipe, rc code)
{
	char peer[BUS_PEER_TEXT_MAX];

	bus_peer_text(pipe, peer);
	log_peer(LOG_WARN, "BUS-REPLY-LOST", peer, "%s: %s", peer,
	    rc_name(code));
}

void
bus_server_reply(struct bus_server *s, uint64_t reply_to, const struct frame *f)
{
	const uint32_t head[] = {(uint32_t)(reply_to >> 32),
	    (uint32_t)reply_to};
	struct frame reply = *f;
	rc ret;

	/* The raw protocol sets the top bit; the peer's id is the rest. */
	reply.request_id = reply_to & 0x7fffffff;
	ret = nngsock_send(s->work, head, ARRAY_LEN(head), &reply);
	if (ret != RC_OK)
		/* The peer's time limit and its next request mend it. */
		log_reply_lost(head[0], ret);
}

void
bus_server_publish(struct bus_server *s, const struct frame *f)
{
	rc ret;

	ret = nngsock_send(s->events, NULL, 0, f);
	if (ret != RC_OK)
		log_peer(LOG_WARN, "BUS-EVENT-LOST", frame_kind_name(f->kind),
		    "%s: %s", frame_kind_name(f->kind), rc_name(ret));
}

struct bus_cert
bus_server_cert(const struct bus_server *s)
{
	return s->cert ? certwatch_cert(s->cert) : (struct bus_cert){0};
}

/* Whoever is turned away shows up nowhere else. */
static void
tell_refused(struct bus_server *s)
{
	uint64_t n;

	n = nngsock_refused(s->hint) + nngsock_refused(s->work) +
	    nngsock_refused(s->events);
	if (n > 0)
		log_warn("BUS-REFUSED",
		    "%llu connections whose certificate is missing or not "
		    "from the bus's CA (CERTCTL_BUS_CA): if this is one of "
		    "your workers or apiservers, give it a certificate of "
		    "that CA",
		    (unsigned long long)n);
}

static void
on_look(void *arg)
{
	struct bus_server *s = arg;

	timer_arm(s->look, LOOK_MS);
	if (s->cert && s->looks++ % LOOKS_A_TELL == 0)
		tell_refused(s);
	nngsock_look(s->hint);
	nngsock_look(s->work);
	nngsock_look(s->events);
}

static void
on_new_cert(void *arg)
{
	struct bus_server *s = arg;
	nng_tls_config *cfg = NULL;

	if (buscert_load(&s->tls, NULL, &cfg) != RC_OK)
		return; /* logged; the former stays in use */
	nngsock_set_tls(s->hint, cfg);
	nngsock_set_tls(s->work, cfg);
	nngsock_set_tls(s->events, cfg);
	nng_tls_config_free(cfg); /* the sockets hold their own */
}

static const struct nngsock_ops hint_ops = {.on_msg = on_hint_msg};
static const struct nngsock_ops work_ops = {
    .on_msg = on_work_msg,
    .on_pipe = on_work_pipe,
};
static const struct nngsock_ops events_ops = {NULL, NULL};

static rc
open_links(struct bus_server *s, const struct bus_addr *addr)
{
	nng_tls_config *cfg = NULL;
	rc ret = RC_OK;

	if (addr->is_tls)
		ret = buscert_load(&s->tls, NULL, &cfg);
	if (ret == RC_OK)
		ret =
		    nngsock_new(s->loop, NNGSOCK_PULL, &hint_ops, s, &s->hint);
	if (ret == RC_OK)
		ret = nngsock_new(s->loop, NNGSOCK_REP, &work_ops, s, &s->work);
	if (ret == RC_OK)
		ret = nngsock_new(s->loop, NNGSOCK_PUB, &events_ops, s,
		    &s->events);
	/* Events last: a peer that hears beats can reach the other two. */
	if (ret == RC_OK)
		ret = nngsock_listen(s->hint, addr, BUS_HINT, cfg);
	if (ret == RC_OK)
		ret = nngsock_listen(s->work, addr, BUS_WORK, cfg);
	if (ret == RC_OK)
		ret = nngsock_listen(s->events, addr, BUS_EVENTS, cfg);
	if (cfg)
		nng_tls_config_free(cfg); /* the sockets hold their own */
	return ret;
}

rc
bus_server_new(struct loop *l, const char *url, const struct bus_tls *tls,
    const struct bus_server_ops *ops, void *arg, struct bus_server **out)
{
	struct bus_server *s;
	struct bus_addr addr;
	const char *why;
	rc ret;

	ret = bus_addr_parse(url, &addr, &why);
	if (ret != RC_OK) {
		log_error("BUS-ADDRESS", "%s: %s", url, why);
		return ret;
	}
	s = mem_zalloc(sizeof(*s));
	s->loop = l;
	s->ops = ops;
	s->arg = arg;
	buscert_files_copy(tls, &s->tls);
	ret = open_links(s, &addr);
	if (ret != RC_OK) {
		bus_server_free(s);
		return ret;
	}
	if (addr.is_tls)
		s->cert = certwatch_new(l, &s->tls, on_new_cert, s);
	s->look = timer_new(l, on_look, s);
	timer_arm(s->look, LOOK_MS);

	*out = s;
	return RC_OK;
}

void
bus_server_free(struct bus_server *s)
{
	struct peer_pipe *p, *tmp;

	if (!s)
		return;
	timer_free(s->look);
	certwatch_free(s->cert);
	nngsock_free(s->hint);
	nngsock_free(s->work);
	nngsock_free(s->events);
	HASH_ITER (hh, s->pipes, p, tmp) {
		HASH_DEL(s->pipes, p);
		free(p);
	}
	buscert_files_free(&s->tls);
	free(s);
}
