#include "tests/unit/common/bus/rig.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"

#define STEP_MS 2
#define BEAT_MS 50

static void
copy_body(char out[64], const struct frame *f)
{
	size_t n = f->body_len < 63 ? f->body_len : 63;

	if (n > 0)
		memcpy(out, f->body, n);
	out[n] = '\0';
}

bool
rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	(void)snprintf(r->dir, sizeof(r->dir), "/tmp/certctl-bus-XXXXXX");
	if (!mkdtemp(r->dir))
		return false;
	return loop_new(&r->loop) == RC_OK;
}

void
rig_fini(struct rig *r)
{
	char path[512];
	struct dirent *e;
	DIR *d;

	loop_free(r->loop);
	d = opendir(r->dir);
	if (!d)
		return;
	while ((e = readdir(d)) != NULL) {
		(void)snprintf(path, sizeof(path), "%s/%s", r->dir, e->d_name);
		(void)unlink(path); /* "." and ".." refuse */
	}
	(void)closedir(d);
	(void)rmdir(r->dir);
}

void
rig_url(const struct rig *r, const char *name, char out[160])
{
	(void)snprintf(out, 160, "ipc://%s/%s", r->dir, name);
}

struct waiter {
	struct rig *rig;
	struct timer *timer;
	bool (*cond)(void *arg);
	void *arg;
	int64_t end_ms;
	bool result;
};

static void
on_step(void *arg)
{
	struct waiter *w = arg;

	w->result = w->cond && w->cond(w->arg);
	if (w->result || clock_boot_ms() >= w->end_ms)
		loop_stop(w->rig->loop);
	else
		timer_arm(w->timer, STEP_MS);
}

bool
rig_until(struct rig *r, bool (*cond)(void *arg), void *arg, int64_t ms)
{
	struct waiter w = {.rig = r, .cond = cond, .arg = arg};
	rc code;

	w.end_ms = clock_boot_ms() + ms;
	w.timer = timer_new(r->loop, on_step, &w);
	timer_arm(w.timer, 0);
	code = loop_run(r->loop);
	timer_free(w.timer);
	return code == RC_OK && w.result;
}

void
rig_pass(struct rig *r, int64_t ms)
{
	(void)rig_until(r, NULL, NULL, ms);
}

bool
rig_is_positive(void *arg)
{
	return *(int *)arg > 0;
}

/* --- server --- */

static void
on_hint(void *arg, uint32_t pipe, const struct frame *f)
{
	struct rig_server *s = arg;

	s->hints++;
	copy_body(s->hint, f);
}

static void
on_request(void *arg, uint64_t reply_to, uint32_t pipe, const struct frame *f)
{
	struct rig_server *s = arg;
	struct asked *a;

	if (s->n_asked == RIG_ASKED_MAX)
		return;
	a = &s->asked[s->n_asked++];
	a->reply_to = reply_to;
	a->pipe = pipe;
	copy_body(a->body, f);
}

static void
on_pipe_closed(void *arg, uint32_t pipe)
{
	struct rig_server *s = arg;

	if (s->n_closed < 64)
		s->closed[s->n_closed++] = pipe;
}

static struct frame
beat_of(const struct rig_server *s)
{
	struct frame f = {.kind = FRAME_BEAT, .term = s->term};

	f.body = s->is_leading ? "{\"leader\":true}" : "{\"leader\":false}";
	if (s->beat_body)
		f.body = s->beat_body;
	f.body_len = strlen(f.body);
	return f;
}

static void
on_hello(void *arg, uint64_t reply_to, uint32_t pipe, const struct frame *hello)
{
	struct rig_server *s = arg;
	struct frame f = beat_of(s);

	s->hellos++;
	copy_body(s->hello, hello);
	if (s->term != 0)
		bus_server_reply(s->bus, reply_to, &f);
}

static void
on_beat_due(void *arg)
{
	struct rig_server *s = arg;
	struct frame f = beat_of(s);

	if (s->term != 0 && !s->is_mute)
		bus_server_publish(s->bus, &f);
	timer_arm(s->beat, BEAT_MS);
}

static const struct bus_server_ops server_ops = {
    .on_hint = on_hint,
    .on_request = on_request,
    .on_pipe_closed = on_pipe_closed,
    .on_hello = on_hello,
};

rc
rig_server_start(struct rig *r, struct rig_server *s, const char *url,
    const struct bus_tls *tls, uint64_t term, bool is_leading)
{
	rc code;

	memset(s, 0, sizeof(*s));
	s->rig = r;
	s->term = term;
	s->is_leading = is_leading;
	code = bus_server_new(r->loop, url, tls, &server_ops, s, &s->bus);
	if (code != RC_OK)
		return code;
	s->beat = timer_new(r->loop, on_beat_due, s);
	timer_arm(s->beat, 0);
	return RC_OK;
}

void
rig_server_stop(struct rig_server *s)
{
	if (s->bus)
		timer_free(s->beat);
	bus_server_free(s->bus);
	s->bus = NULL;
}

void
rig_server_event(struct rig_server *s, const char *body)
{
	struct frame f = {.kind = FRAME_EVENT, .body = body};

	f.body_len = strlen(body);
	bus_server_publish(s->bus, &f);
}

void
rig_server_answer(struct rig_server *s, int i, const char *body)
{
	struct frame f = {.kind = FRAME_WORK_REPLY, .body = body};

	f.body_len = strlen(body);
	bus_server_reply(s->bus, s->asked[i].reply_to, &f);
}

/* --- client --- */

static void
on_event(void *arg, const struct frame *f)
{
	struct rig_client *c = arg;

	c->events++;
	copy_body(c->event, f);
}

static void
on_leader(void *arg, uint64_t term)
{
	struct rig_client *c = arg;

	c->leaders++;
	c->term = term;
}

static const struct bus_client_ops client_ops = {
    .on_event = on_event,
    .on_leader = on_leader,
};

rc
rig_client_start(struct rig *r, struct rig_client *c, const char *const *urls,
    const struct bus_tls *tls)
{
	memset(c, 0, sizeof(*c));
	return bus_client_new(r->loop, urls, tls, &client_ops, c, &c->bus);
}

rc
rig_client_start_deaf(struct rig *r, struct rig_client *c,
    const char *const *urls)
{
	static const struct bus_client_ops ops = {.on_leader = on_leader};

	memset(c, 0, sizeof(*c));
	return bus_client_new(r->loop, urls, NULL, &ops, c, &c->bus);
}

void
rig_client_stop(struct rig_client *c)
{
	bus_client_free(c->bus);
	c->bus = NULL;
}

bool
rig_start(struct rig *r, char out_url[160])
{
	if (!rig_init(r))
		return false;
	rig_url(r, "a", out_url);
	return true;
}

void
rig_stop(struct rig *r, struct rig_client *c, struct rig_server *a,
    struct rig_server *b)
{
	rig_client_stop(c);
	rig_server_stop(a);
	if (b)
		rig_server_stop(b);
	rig_fini(r);
}

struct follow {
	struct rig_client *client;
	uint64_t term;
};

static bool
follows(void *arg)
{
	struct follow *f = arg;

	return f->client->term == f->term &&
	       bus_client_term(f->client->bus) == f->term;
}

bool
rig_follows(struct rig *r, struct rig_client *c, uint64_t term, int64_t ms)
{
	struct follow f = {c, term};

	return rig_until(r, follows, &f, ms);
}

static void
on_reply(void *arg, rc code, const struct frame *f)
{
	struct rig_reply *reply = arg;

	reply->calls++;
	reply->code = code;
	if (f) {
		reply->kind = f->kind;
		copy_body(reply->body, f);
	}
}

rc
rig_ask(struct rig_client *c, const char *body, int64_t timeout_ms,
    struct rig_reply *reply)
{
	struct frame f = {.kind = FRAME_WORK, .body = body};

	f.body_len = strlen(body);
	memset(reply, 0, sizeof(*reply));
	return bus_client_request(c->bus, &f, timeout_ms, on_reply, reply);
}
