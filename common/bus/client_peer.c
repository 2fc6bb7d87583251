#include "common/bus/client_int.h"

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

#include "common/base/arena.h"
#include "common/bus/buscert.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "common/log/log_peer.h"

/* No beat, or no way to ask, for this long: a connection may be one that the
 * other side, or what lies in between, has forgotten.  TCP would not find out
 * for hours (a subscriber never sends), and nng waits without end for the
 * other side's first words. */
#define SILENCE_MS 5000

/* A scheduler hears nobody else's beats: that there is a later timeline it is
 * told as long as it is so (db_home_seek). */
#define HELLO_AGAIN_MS 5000

/* In the place of a request's id; see next_id of client_follow.c. */
#define HELLO_ID 0

static void on_silence(void *arg);
static void dial_rest(struct peer *p);

static void
log_bad(const struct peer *p, const char *link, const char *what)
{
	const char *at = p->addr.url[BUS_HINT];

	log_peer(LOG_WARN, "BUS-BAD-FRAME", at, "%s link, %s: %s", link, at,
	    what);
}

static void say_hello(struct peer *p);

bool
peer_is_other(const struct peer *p)
{
	return p->other[0] &&
	       loop_now_ms(p->client->loop) - p->beat_ms < SILENCE_MS;
}

/* What its beat says of the database server it is with. */
static void
take_origin(struct peer *p, const struct cJSON *beat)
{
	struct db_home *home = p->client->home;
	const char *at = p->addr.url[BUS_HINT], *system;
	int timeline;

	p->other[0] = '\0';
	if (!origin_is_ours(home, beat, at, p->other))
		log_peer(LOG_WARN, "BUS-OTHER-SERVER", at, "%s", p->other);
	/* So that it knows of a promotion that it did not see. */
	if (home && p->work_pipe != 0 &&
	    db_home_where(home, &system, &timeline) &&
	    (timeline != p->told_timeline ||
		(p->other[0] && loop_now_ms(p->client->loop) - p->told_ms >=
				    HELLO_AGAIN_MS)))
		say_hello(p);
}

/* Not said without TLS. */
static rc
take_cert(const struct cJSON *beat, struct bus_cert *out)
{
	rc ret;

	*out = (struct bus_cert){0};
	if (!json_get(beat, "cert_ends"))
		return RC_OK;
	ret = json_int(beat, "cert_ends", 0, INT64_MAX, &out->ends_unix);
	out->near_unix = out->ends_unix;
	/* A scheduler of an older release tells the end alone. */
	if (ret == RC_OK && json_get(beat, "cert_near"))
		ret =
		    json_int(beat, "cert_near", 0, INT64_MAX, &out->near_unix);
	return ret;
}

static void
on_beat(struct peer *p, const struct frame *f)
{
	struct arena *a = arena_new();
	const struct cJSON *beat;
	const char *why;
	bool is_leading = false;
	struct bus_cert cert = {0};
	rc ret;

	ret = json_parse(a, f->body, f->body_len, &beat, &why);
	if (ret == RC_OK)
		ret = json_bool(beat, "leader", &is_leading);
	if (ret == RC_OK)
		ret = take_cert(beat, &cert);
	if (ret == RC_OK)
		take_origin(p, beat);
	arena_free(a);
	if (ret != RC_OK) {
		log_bad(p, "events", "beat is not as it should be");
		return;
	}
	p->is_leading = is_leading && f->term > 0;
	p->term = f->term;
	p->cert = cert;
	p->beat_ms = loop_now_ms(p->client->loop);
	if (p->work_pipe != 0) {
		p->heard_ms = p->beat_ms;
		if (p->is_silent)
			log_info("BUS-HEARD", "%s is heard again",
			    p->addr.url[BUS_HINT]);
		p->is_silent = false;
	}
	follow_elect(p->client);
}

/* --- what arrives --- */

static void
on_events_msg(void *arg, nng_msg *m)
{
	struct peer *p = arg;
	struct bus_client *c = p->client;
	struct frame f;
	rc ret;

	ret = frame_decode(nng_msg_body(m), nng_msg_len(m), &f);
	if (ret != RC_OK)
		log_bad(p, "events", "not a frame of this version, dropped");
	else if (f.kind == FRAME_BEAT)
		on_beat(p, &f);
	else if (f.kind != FRAME_EVENT)
		log_bad(p, "events", "unknown kind, dropped");
	else if (p == c->leader && c->ops->on_event)
		c->ops->on_event(c->arg, &f);
}

/*
 * Whether it leads is asked at once: its next beat comes up to 100 ms after
 * the link for events is there as well.  The answer carries id 0, which no
 * request has.  Who wants events follows once he would hear them.
 */
static void
say_hello(struct peer *p)
{
	struct frame hello = {.kind = FRAME_HELLO};
	const uint32_t head = HELLO_ID | 0x80000000;
	const char *system;
	struct json_w w;
	struct buf b;
	rc ret;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	origin_write(&w, p->client->home);
	json_w_close(&w, '}');
	hello.body = buf_cstr(&b);
	hello.body_len = b.len;
	p->told_timeline = 0;
	p->told_ms = loop_now_ms(p->client->loop);
	if (p->client->home)
		(void)db_home_where(p->client->home, &system,
		    &p->told_timeline); /* 0 where there is none */
	ret = nngsock_send(p->work, &head, 1, &hello);
	if (ret != RC_OK) /* its beats say it too */
		log_debug("BUS-HELLO-LOST", "%s", rc_name(ret));
	buf_fini(&b);
}

static void
on_work_pipe(void *arg, uint32_t pipe, bool is_up)
{
	struct peer *p = arg;

	if (is_up) {
		p->work_pipe = pipe;
		say_hello(p);
		dial_rest(p);
	} else if (p->work_pipe == pipe) {
		p->work_pipe = 0;
		follow_end_requests(p->client, p);
	}
	follow_elect(p->client);
}

static void
on_work_msg(void *arg, nng_msg *m)
{
	struct peer *peer = arg;
	struct bus_client *c = peer->client;
	const uint8_t *head = nng_msg_header(m);
	struct frame f;
	uint32_t id = 0;
	rc ret;

	if (nng_msg_header_len(m) != 4)
		return;
	for (int i = 0; i < 4; i++)
		id = id << 8 | head[i];
	id &= 0x7fffffff;
	ret = frame_decode(nng_msg_body(m), nng_msg_len(m), &f);
	if (ret != RC_OK) {
		log_bad(peer, "work", "reply of another version");
		f = (struct frame){.kind = FRAME_UNKNOWN, .request_id = id};
	}
	if (id != HELLO_ID)
		follow_take_reply(c, peer, id, &f);
	else if (f.kind == FRAME_BEAT && !c->ops->on_event)
		on_beat(peer, &f);
}

static const struct nngsock_ops hint_ops = {NULL, NULL};
static const struct nngsock_ops work_ops = {
    .on_msg = on_work_msg,
    .on_pipe = on_work_pipe,
};
static const struct nngsock_ops events_ops = {.on_msg = on_events_msg};

/* --- the links --- */

/* NULL without TLS. */
static rc
load_tls(const struct peer *p, nng_tls_config **out)
{
	if (!p->addr.is_tls)
		return RC_OK;
	return buscert_load(&p->client->tls, p->addr.host, out);
}

/*
 * Each try to reach a scheduler that is away costs nng's threads a millisecond
 * or two, some six a second and link.  So one link tries, and the others are
 * made when it is there.
 */
static void
dial_rest(struct peer *p)
{
	nng_tls_config *cfg = NULL;
	rc ret;

	if (p->has_dialled_all)
		return;
	ret = load_tls(p, &cfg);
	if (ret == RC_OK)
		ret = nngsock_dial(p->hint, &p->addr, BUS_HINT, cfg);
	if (ret == RC_OK)
		ret = nngsock_dial(p->events, &p->addr, BUS_EVENTS, cfg);
	if (cfg)
		nng_tls_config_free(cfg);  /* the sockets hold their own */
	p->has_dialled_all = ret == RC_OK; /* if not: see on_silence */
}

rc
peer_open(struct peer *p)
{
	struct bus_client *c = p->client;
	nng_tls_config *cfg = NULL;
	rc ret;

	p->heard_ms = loop_now_ms(c->loop);
	if (!p->silence)
		p->silence = timer_new(c->loop, on_silence, p);
	timer_arm(p->silence, SILENCE_MS);
	ret = nngsock_new(c->loop, NNGSOCK_PUSH, &hint_ops, p, &p->hint);
	if (ret == RC_OK)
		ret = nngsock_new(c->loop, NNGSOCK_REQ, &work_ops, p, &p->work);
	if (ret == RC_OK)
		ret = nngsock_new(c->loop, NNGSOCK_SUB, &events_ops, p,
		    &p->events);
	if (ret == RC_OK)
		ret = load_tls(p, &cfg);
	if (ret == RC_OK)
		ret = nngsock_dial(p->work, &p->addr, BUS_WORK, cfg);
	if (cfg)
		nng_tls_config_free(cfg); /* the socket holds its own */
	return ret;
}

void
peer_set_tls(struct peer *p)
{
	nng_tls_config *cfg = NULL;

	if (!p->work || load_tls(p, &cfg) != RC_OK)
		return; /* dialled anew by on_silence; or logged */
	nngsock_set_tls(p->hint, cfg);
	nngsock_set_tls(p->work, cfg);
	nngsock_set_tls(p->events, cfg);
	nng_tls_config_free(cfg); /* the sockets hold their own */
}

static void
peer_unlink(struct peer *p)
{
	nngsock_free(p->hint);
	nngsock_free(p->work);
	nngsock_free(p->events);
	p->hint = p->work = p->events = NULL;
	p->work_pipe = 0;
	p->has_dialled_all = false;
	p->is_leading = false;
}

void
peer_close(struct peer *p)
{
	timer_free(p->silence);
	p->silence = NULL;
	peer_unlink(p);
}

/*
 * Connections between hosts are made anew, with the certificates as they are
 * on disk now.  A socket file has nobody in between who could forget it: there
 * it is enough that one link tries where none is connected, and all where one
 * is.
 */
static void
on_silence(void *arg)
{
	struct peer *p = arg;
	struct bus_client *c = p->client;
	int64_t quiet_ms;
	rc ret;

	if (p->events)
		nngsock_read(p->events); /* it may be us who stood still */
	quiet_ms = loop_now_ms(c->loop) - p->heard_ms;
	if (quiet_ms < SILENCE_MS) {
		timer_arm(p->silence, SILENCE_MS - quiet_ms);
		return;
	}
	if (!p->is_silent)
		log_warn("BUS-SILENT",
		    "%s %s, trying on: is that scheduler up%s?",
		    p->beat_ms > p->heard_ms ? "no way to ask"
					     : "nothing heard of",
		    p->addr.url[BUS_HINT],
		    p->addr.is_tls
			? ", can it be reached, does its certificate name "
			  "this host, are both certificates of one CA"
			: "");
	p->is_silent = true;
	if (!p->addr.is_ipc || p->has_dialled_all != (p->work_pipe != 0)) {
		peer_unlink(p);
		/* What this process holds comes back to others by its leases'
		 * end, as after a kill. */
		if (nngsock_is_stuck())
			log_fatal("BUS-STUCK",
			    "the messaging library makes no new connections; "
			    "ending, so that a new process can");
		follow_end_requests(c, p);
		ret = peer_open(p);
		if (ret != RC_OK)
			peer_unlink(p); /* logged; the next look tries again */
		follow_elect(c);
	}
	timer_arm(p->silence, SILENCE_MS);
}

void
peer_hint(struct peer *p, const struct frame *f)
{
	rc ret = RC_UNAVAILABLE;

	if (p->hint)
		ret = nngsock_send(p->hint, NULL, 0, f);
	/* A full queue is a scheduler that is away: the hint is lost, and
	 * the scheduler looks at the tables by itself. */
	if (ret != RC_OK)
		log_debug("BUS-HINT-LOST", "%s", rc_name(ret));
}
