#include "common/bus/bus.h"

#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>
#include <uthash.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/bus/nngsock.h"
#include "common/json/json.h"
#include "common/log/log.h"

/* A leader not heard for this long is not followed any more. */
#define BEAT_TRUST_MS 500
#define BAD_LOG_EVERY_MS 1000
/* No beat for this long: the connection may be one that the other side, or
 * what lies in between, has forgotten.  TCP would not find out for hours: a
 * subscriber never sends. */
#define SILENCE_MS 5000
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
	bool is_leading;       /* by its last beat */
	uint64_t term;
	int64_t beat_ms;
};

struct pending {
	uint32_t id;
	struct bus_client *client;
	struct peer *peer;
	struct timer *timer;
	bus_reply_fn *done;
	void *arg;
	UT_hash_handle hh;
};

struct bus_client {
	struct loop *loop;
	const struct bus_client_ops *ops;
	void *arg;
	struct bus_tls tls;  /* copies */
	struct timer *trust; /* the followed leader's beat grows too old */
	struct peer *leader; /* NULL: none */
	uint64_t term;       /* the leader's; 0: none */
	struct pending *pending;
	uint32_t last_id;
	int64_t bad_logged_ms;
	size_t n_peers;
	struct peer peers[PEER_MAX];
};

static void
log_bad(struct bus_client *c, const char *link, const char *what)
{
	int64_t now = loop_now_ms(c->loop);

	if (now - c->bad_logged_ms < BAD_LOG_EVERY_MS)
		return;
	c->bad_logged_ms = now;
	log_warn("BUS-BAD-FRAME", "%s link: %s", link, what);
}

/* --- requests under way --- */

static void
pending_end(struct pending *p, rc code, const struct frame *reply)
{
	/* Out of the table first: done may well make the next request. */
	HASH_DEL(p->client->pending, p);
	timer_free(p->timer);
	p->done(p->arg, code, reply);
	free(p);
}

static void
on_request_timeout(void *arg)
{
	pending_end(arg, RC_TIMEOUT, NULL);
}

/*
 * Ends with RC_PEER_GONE what is under way to peer (NULL: to all).  Requests
 * made by the callbacks meanwhile stay.
 */
static void
pending_end_all(struct bus_client *c, const struct peer *peer)
{
	struct pending *p, *next;
	size_t n = HASH_COUNT(c->pending);

	/* uthash keeps insertion order: those n are at the front, and a
	 * callback can only add behind them. */
	for (p = c->pending; p && n > 0; p = next, n--) {
		next = p->hh.next;
		if (peer && p->peer != peer)
			continue;
		/* The successor can't end meanwhile: nothing here reads the
		 * sockets, and timers fire from the loop only. */
		pending_end(p, RC_PEER_GONE, NULL);
	}
}

/* --- whom to follow --- */

/* Only a scheduler that can also be asked is followed. */
static bool
is_usable(const struct peer *p, int64_t now)
{
	return p->is_leading && p->work_pipe != 0 &&
	       now - p->beat_ms <= BEAT_TRUST_MS;
}

static void
elect(struct bus_client *c)
{
	int64_t now = loop_now_ms(c->loop);
	struct peer *best = NULL;
	uint64_t term;

	/* The present one first, so that equal terms change nothing. */
	if (c->leader && is_usable(c->leader, now))
		best = c->leader;
	for (size_t i = 0; i < c->n_peers; i++) {
		struct peer *p = &c->peers[i];

		if (is_usable(p, now) && (!best || p->term > best->term))
			best = p;
	}
	if (best)
		timer_arm(c->trust, best->beat_ms + BEAT_TRUST_MS + 1 - now);
	else
		timer_disarm(c->trust);

	term = best ? best->term : 0;
	if (best == c->leader && term == c->term)
		return;
	log_info("BUS-LEADER", "term %llu -> %llu", (unsigned long long)c->term,
	    (unsigned long long)term);
	c->leader = best;
	c->term = term;
	pending_end_all(c, NULL);
	c->ops->on_leader(c->arg, term);
}

static void
on_trust_end(void *arg)
{
	struct bus_client *c = arg;

	/* If it was this loop that stood still, beats lie unread. */
	for (size_t i = 0; i < c->n_peers; i++)
		if (c->peers[i].events)
			nngsock_read(c->peers[i].events);
	elect(c);
}

static void
on_beat(struct peer *p, const struct frame *f)
{
	struct arena *a = arena_new();
	const struct cJSON *beat;
	const char *why;
	bool is_leading = false;
	rc code;

	code = json_parse(a, f->body, f->body_len, &beat, &why);
	if (code == RC_OK)
		code = json_bool(beat, "leader", &is_leading);
	arena_free(a);
	if (code != RC_OK) {
		log_bad(p->client, "events", "beat without \"leader\"");
		return;
	}
	p->is_leading = is_leading && f->term > 0;
	p->term = f->term;
	p->beat_ms = loop_now_ms(p->client->loop);
	p->heard_ms = p->beat_ms;
	if (p->is_silent)
		log_info("BUS-HEARD", "%s is heard again",
		    p->addr.url[BUS_HINT]);
	p->is_silent = false;
	elect(p->client);
}

/* --- the links of one peer --- */

static void
on_events_msg(void *arg, nng_msg *m)
{
	struct peer *p = arg;
	struct bus_client *c = p->client;
	struct frame f;
	rc code;

	code = frame_decode(nng_msg_body(m), nng_msg_len(m), &f);
	if (code != RC_OK)
		log_bad(c, "events", "not a frame of this version, dropped");
	else if (f.kind == FRAME_BEAT)
		on_beat(p, &f);
	else if (f.kind != FRAME_EVENT)
		log_bad(c, "events", "unknown kind, dropped");
	else if (p == c->leader)
		c->ops->on_event(c->arg, &f);
}

static void
on_work_pipe(void *arg, uint32_t pipe, bool is_up)
{
	struct peer *p = arg;

	if (is_up) {
		p->work_pipe = pipe;
	} else if (p->work_pipe == pipe) {
		p->work_pipe = 0;
		pending_end_all(p->client, p);
	}
	elect(p->client);
}

static void
on_work_msg(void *arg, nng_msg *m)
{
	struct peer *peer = arg;
	struct bus_client *c = peer->client;
	const uint8_t *head = nng_msg_header(m);
	struct pending *p;
	struct frame f;
	uint32_t id = 0;
	rc code;

	if (nng_msg_header_len(m) != 4)
		return;
	for (int i = 0; i < 4; i++)
		id = id << 8 | head[i];
	id &= 0x7fffffff;
	HASH_FIND(hh, c->pending, &id, sizeof(id), p);
	if (!p || p->peer != peer)
		return; /* too late */
	code = frame_decode(nng_msg_body(m), nng_msg_len(m), &f);
	if (code != RC_OK) {
		log_bad(c, "work", "reply of another version");
		f = (struct frame){.kind = FRAME_UNKNOWN, .request_id = id};
	}
	pending_end(p, RC_OK, &f);
}

/* --- what the owner calls --- */

uint64_t
bus_client_term(const struct bus_client *c)
{
	/* Not c->term alone: the timer may be late by a turn. */
	if (!c->leader || !is_usable(c->leader, loop_now_ms(c->loop)))
		return 0;
	return c->term;
}

static void
send_hint(struct peer *p, const struct frame *f)
{
	rc code = RC_UNAVAILABLE;

	if (p->hint)
		code = nngsock_send(p->hint, NULL, 0, f);
	/* A full queue is a scheduler that is away: the hint is lost, and
	 * the scheduler looks at the tables by itself. */
	if (code != RC_OK)
		log_debug("BUS-HINT-LOST", "%s", rc_name(code));
}

void
bus_client_hint(struct bus_client *c, const char *body, size_t len)
{
	struct frame f = {
	    .kind = FRAME_HINT,
	    .term = bus_client_term(c),
	    .body = body,
	    .body_len = len,
	};

	if (f.term != 0) {
		send_hint(c->leader, &f);
		return;
	}
	for (size_t i = 0; i < c->n_peers; i++)
		send_hint(&c->peers[i], &f);
}

static uint32_t
next_id(struct bus_client *c)
{
	struct pending *p;

	do {
		c->last_id = (c->last_id + 1) & 0x7fffffff;
		HASH_FIND(hh, c->pending, &c->last_id, sizeof(c->last_id), p);
	} while (p);
	return c->last_id;
}

rc
bus_client_request(struct bus_client *c, const struct frame *f,
    int64_t timeout_ms, bus_reply_fn *done, void *arg)
{
	struct frame out = *f;
	struct pending *p;
	uint32_t id, head;
	rc code;

	if (bus_client_term(c) == 0)
		return RC_UNAVAILABLE;
	id = next_id(c);
	out.request_id = id;
	head = id | 0x80000000; /* ends the protocol's list of hops */
	code = nngsock_send(c->leader->work, &head, 1, &out);
	if (code != RC_OK)
		return code == RC_TOO_LARGE ? code : RC_UNAVAILABLE;

	p = mem_zalloc(sizeof(*p));
	p->id = id;
	p->client = c;
	p->peer = c->leader;
	p->done = done;
	p->arg = arg;
	p->timer = timer_new(c->loop, on_request_timeout, p);
	timer_arm(p->timer, timeout_ms);
	HASH_ADD(hh, c->pending, id, sizeof(p->id), p);
	return RC_OK;
}

/* --- construction --- */

static const struct nngsock_ops hint_ops = {NULL, NULL};
static const struct nngsock_ops work_ops = {
    .on_msg = on_work_msg,
    .on_pipe = on_work_pipe,
};
static const struct nngsock_ops events_ops = {.on_msg = on_events_msg};

static rc
peer_open(struct peer *p)
{
	struct bus_client *c = p->client;
	rc code;

	p->heard_ms = loop_now_ms(c->loop);
	code = nngsock_new(c->loop, NNGSOCK_PUSH, &hint_ops, p, &p->hint);
	if (code == RC_OK)
		code =
		    nngsock_new(c->loop, NNGSOCK_REQ, &work_ops, p, &p->work);
	if (code == RC_OK)
		code = nngsock_new(c->loop, NNGSOCK_SUB, &events_ops, p,
		    &p->events);
	if (code == RC_OK)
		code = nngsock_dial(p->hint, &p->addr, BUS_HINT, &c->tls);
	if (code == RC_OK)
		code = nngsock_dial(p->work, &p->addr, BUS_WORK, &c->tls);
	if (code == RC_OK)
		code = nngsock_dial(p->events, &p->addr, BUS_EVENTS, &c->tls);
	return code;
}

static void
peer_close(struct peer *p)
{
	nngsock_free(p->hint);
	nngsock_free(p->work);
	nngsock_free(p->events);
	p->hint = p->work = p->events = NULL;
	p->work_pipe = 0;
	p->is_leading = false;
}

/*
 * Connections between hosts are made anew, with the certificates as they are
 * on disk now; a socket file has nobody in between who could forget it.
 */
static void
on_silence(void *arg)
{
	struct peer *p = arg;
	struct bus_client *c = p->client;
	int64_t quiet_ms;
	rc code;

	if (p->events)
		nngsock_read(p->events); /* it may be us who stood still */
	quiet_ms = loop_now_ms(c->loop) - p->heard_ms;
	if (quiet_ms < SILENCE_MS) {
		timer_arm(p->silence, SILENCE_MS - quiet_ms);
		return;
	}
	if (!p->is_silent)
		log_warn("BUS-SILENT",
		    "nothing heard of %s, trying on: is that scheduler up%s?",
		    p->addr.url[BUS_HINT],
		    p->addr.is_tls
			? ", can it be reached, does its certificate name "
			  "this host, are both certificates of one CA"
			: "");
	p->is_silent = true;
	if (!p->addr.is_ipc) {
		peer_close(p);
		pending_end_all(c, p);
		code = peer_open(p);
		if (code != RC_OK)
			peer_close(p); /* logged; the next look tries again */
		elect(c);
	}
	timer_arm(p->silence, SILENCE_MS);
}

static rc
add_peer(struct bus_client *c, const char *url)
{
	struct bus_addr addr;
	struct peer *p;
	const char *why;
	rc code;

	code = bus_addr_parse(url, &addr, &why);
	if (code == RC_OK && c->n_peers == PEER_MAX) {
		why = "more than 16 addresses";
		code = RC_INVALID;
	}
	if (code != RC_OK) {
		log_error("BUS-ADDRESS", "%s: %s", url, why);
		return code;
	}
	p = &c->peers[c->n_peers++];
	p->client = c;
	p->addr = addr;
	p->silence = timer_new(c->loop, on_silence, p);
	timer_arm(p->silence, SILENCE_MS);
	return peer_open(p);
}

static char *
copy_or_null(const char *s)
{
	return s ? mem_strdup(s) : NULL;
}

rc
bus_client_new(struct loop *l, const char *const *urls,
    const struct bus_tls *tls, const struct bus_client_ops *ops, void *arg,
    struct bus_client **out)
{
	struct bus_client *c;
	rc code = RC_INVALID; /* no address at all */

	c = mem_zalloc(sizeof(*c));
	c->loop = l;
	c->ops = ops;
	c->arg = arg;
	if (tls)
		c->tls = (struct bus_tls){
		    .ca_file = copy_or_null(tls->ca_file),
		    .cert_file = copy_or_null(tls->cert_file),
		    .key_file = copy_or_null(tls->key_file),
		};
	c->trust = timer_new(l, on_trust_end, c);
	c->bad_logged_ms = loop_now_ms(l) - BAD_LOG_EVERY_MS;
	for (size_t i = 0; urls[i]; i++) {
		code = add_peer(c, urls[i]);
		if (code != RC_OK)
			break;
	}
	if (code != RC_OK) {
		bus_client_free(c);
		return code;
	}

	*out = c;
	return RC_OK;
}

void
bus_client_free(struct bus_client *c)
{
	struct pending *p, *tmp;

	if (!c)
		return;
	for (size_t i = 0; i < c->n_peers; i++) {
		timer_free(c->peers[i].silence);
		peer_close(&c->peers[i]);
	}
	HASH_ITER (hh, c->pending, p, tmp) {
		HASH_DEL(c->pending, p);
		timer_free(p->timer);
		free(p);
	}
	timer_free(c->trust);
	free((char *)c->tls.ca_file);
	free((char *)c->tls.cert_file);
	free((char *)c->tls.key_file);
	free(c);
}
