#include "apiserver/live/presence.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/daemon/daemon.h"
#include "common/log/log.h"

enum {
	EVERY_MS = 1000,
	PATIENCE_MS = 3000, /* a row older than this is no sign of life */
};

struct presence {
	struct api *api;
	struct timer *tick;
	struct db_req *req;
	bool has_failed; /* said so */
	int64_t seen_ms; /* when the row was written last; 0: never */
	char why[64];    /* it was not the last time; "" when it was */
};

static void
on_seen(void *arg, struct db_outcome *o)
{
	struct presence *p = arg;

	p->req = NULL;
	if (o->code != RC_OK && !p->has_failed)
		log_warn("PRESENCE", "our row was not refreshed (%s): %s",
		    rc_name(o->code), o->error.message);
	p->has_failed = o->code != RC_OK;
	p->why[0] = '\0';
	if (o->code == RC_OK)
		p->seen_ms = loop_now_ms(p->api->loop);
	else
		(void)snprintf(p->why, sizeof(p->why), "%s%s%s",
		    rc_name(o->code), o->error.sqlstate[0] ? ", SQLSTATE " : "",
		    o->error.sqlstate);
}

static void
on_tick(void *arg)
{
	struct presence *p = arg;
	const struct api *a = p->api;
	char pid[16];
	const char *params[] = {a->daemon->incarnation, a->daemon->name,
	    a->daemon->host, pid, a->url, CERTCTL_VERSION};
	const struct db_stmt stmt = {Q_APISERVER_SEEN, ARRAY_LEN(params),
	    params};

	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (!p->req)
		p->req = db_submit(a->own_pool, &stmt, 1, on_seen, p);
	timer_arm(p->tick, EVERY_MS);
}

struct presence *
presence_new(struct api *api)
{
	struct presence *p = mem_zalloc(sizeof(*p));

	p->api = api;
	p->tick = timer_new(api->loop, on_tick, p);
	timer_arm(p->tick, 0);
	return p;
}

void
presence_free(struct presence *p)
{
	if (!p)
		return;
	db_forget(p->req);
	timer_free(p->tick);
	free(p);
}

const char *
presence_trouble(const struct presence *p)
{
	int64_t now_ms = loop_now_ms(p->api->loop);

	if (p->has_failed)
		return p->why;
	if (p->seen_ms == 0)
		return "the database has not answered yet";
	return now_ms - p->seen_ms <= PATIENCE_MS
		   ? NULL
		   : "no answer within three seconds";
}
