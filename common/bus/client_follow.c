#include "common/bus/client_int.h"

#include <stdlib.h>

#include <uthash.h>

#include "common/base/mem.h"
#include "common/log/log_peer.h"

/* A leader not heard for this long is not followed any more. */
#define BEAT_TRUST_MS 500

struct pending {
	uint32_t id;
	struct bus_client *client;
	struct peer *peer;
	struct timer *timer;
	bus_reply_fn *done;
	void *arg;
	UT_hash_handle hh;
};

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

void
follow_end_requests(struct bus_client *c, const struct peer *peer)
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

void
follow_take_reply(struct bus_client *c, const struct peer *peer, uint32_t id,
    const struct frame *f)
{
	struct pending *p;

	HASH_FIND(hh, c->pending, &id, sizeof(id), p);
	if (p && p->peer == peer)
		pending_end(p, RC_OK, f);
}

/* --- whom to follow --- */

/* Only a scheduler that can also be asked is followed. */
static bool
is_usable(const struct peer *p, int64_t now)
{
	return p->is_leading && p->work_pipe != 0 && !p->other[0] &&
	       now - p->beat_ms <= BEAT_TRUST_MS;
}

void
follow_elect(struct bus_client *c)
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
	log_peer(LOG_INFO, "BUS-LEADER", "", "term %llu -> %llu",
	    (unsigned long long)c->term, (unsigned long long)term);
	c->leader = best;
	c->term = term;
	follow_end_requests(c, NULL);
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
	follow_elect(c);
}

uint64_t
bus_client_term(const struct bus_client *c)
{
	/* Not c->term alone: the timer may be late by a turn. */
	if (!c->leader || !is_usable(c->leader, loop_now_ms(c->loop)))
		return 0;
	return c->term;
}

/* --- asking it --- */

/* 0 is a hello's. */
static uint32_t
next_id(struct bus_client *c)
{
	struct pending *p;

	do {
		c->last_id = (c->last_id + 1) & 0x7fffffff;
		HASH_FIND(hh, c->pending, &c->last_id, sizeof(c->last_id), p);
	} while (p || c->last_id == 0);
	return c->last_id;
}

rc
bus_client_request(struct bus_client *c, const struct frame *f,
    int64_t timeout_ms, bus_reply_fn *done, void *arg)
{
	struct frame out = *f;
	struct pending *p;
	uint32_t id, head;
	rc ret;

	if (bus_client_term(c) == 0)
		return RC_UNAVAILABLE;
	id = next_id(c);
	out.request_id = id;
	head = id | 0x80000000; /* ends the protocol's list of hops */
	ret = nngsock_send(c->leader->work, &head, 1, &out);
	if (ret != RC_OK)
		return ret == RC_TOO_LARGE ? ret : RC_UNAVAILABLE;

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

/* --- life --- */

void
follow_init(struct bus_client *c)
{
	c->trust = timer_new(c->loop, on_trust_end, c);
}

void
follow_fini(struct bus_client *c)
{
	struct pending *p, *tmp;

	HASH_ITER (hh, c->pending, p, tmp) {
		HASH_DEL(c->pending, p);
		timer_free(p->timer);
		free(p);
	}
	timer_free(c->trust);
}
