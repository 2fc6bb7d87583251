/*
 * events: what changes, as it changes, until it is ended or the time is over.
 * A stream that ends or breaks is asked for again, from the last id on; a
 * server that is gone meanwhile is told of.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/args.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/dark.h"
#include "cli/names.h"
#include "cli/out.h"
#include "cli/render.h"
#include "cli/stream.h"
#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/json/json.h"

#define EVENTS "/api/v1/events"

enum {
	PAUSE_S = 2,
	GRACE_MS = 1000,
	FOR_MAX_S = 86400,
	TEXT_MAX = 256,
};

struct listening {
	struct cli *cli;
	struct stream stream;
	struct dark dark;
	int64_t until_ms; /* 0: for ever */
};

/* --- what is printed --- */

static const char *
status_of(struct cli *c, const struct cJSON *event, const char *name)
{
	const struct cJSON *status = json_get(event, "status");

	return status ? cell(c, status, name) : "-";
}

static void
print_line(struct cli *c, const struct cJSON *event)
{
	const char *kind = "", *name = "name";

	IGNORE_RESULT(json_str(event, "kind", TEXT_MAX, &kind));
	if (strcmp(kind, "reset") == 0) {
		out_tell("%s", cell(c, event, "message"));
		return;
	}
	if (strcmp(kind, "condition") == 0)
		name = "subject";
	out_print("%s  %-12s  %-8s  %s  %s -> %s  %s\n",
	    cell_time(c, event, "at"), cell(c, event, "kind"),
	    cell(c, event, "change"), cell(c, event, "id"),
	    status_of(c, event, "from"), status_of(c, event, "to"),
	    cell(c, event, name));
}

/* Each alike, so that rows of CSV have one head. */
static void
render_event(struct cli *c, const struct cJSON *event, const char *data)
{
	static const char *const members[] = {"at", "kind", "change", "id",
	    "status.from", "status.to", "name", "subject", "message"};

	render_object(c, event, data, members, ARRAY_LEN(members));
}

static bool
take(void *arg, const char *data)
{
	struct listening *l = arg;
	struct cli *c = l->cli;
	struct arena *run = c->arena;
	const struct cJSON *event;
	const char *why;
	rc ret;

	/* A stream of weeks keeps nothing of its events. */
	c->arena = arena_new();
	ret = json_parse(c->arena, data, strlen(data), &event, &why);
	if (ret != RC_OK)
		out_error("an event was no JSON: %s", why);
	else if (c->as_json)
		render_event(c, event, data);
	else
		print_line(c, event);
	arena_free(c->arena);
	c->arena = run;
	/* Who reads sees it at once; who reads no more ends it. */
	return fflush(stdout) == 0;
}

static bool
take_bytes(void *arg, const char *bytes, size_t n)
{
	struct listening *l = arg;

	dark_end(&l->dark);
	return stream_bytes(&l->stream, bytes, n);
}

/* --- asking --- */

static int64_t
left_s(const struct listening *l)
{
	int64_t ms = l->until_ms - clock_boot_ms();

	return ms > 0 ? (ms + 999) / 1000 : 0;
}

static const char *
path_of(struct listening *l)
{
	struct cli *c = l->cli;
	const char *path = call_path(c, EVENTS);

	if (l->until_ms > 0)
		path = arena_printf(c->arena, "%s%cfor=%" PRId64 "s", path,
		    strchr(path, '?') ? '&' : '?', left_s(l));
	return path;
}

static int
listen_on(struct listening *l)
{
	const struct timespec pause = {PAUSE_S, 0};
	const char *path = path_of(l);
	bool has_begun = false;
	struct answer a;

	for (;;) {
		stream_begin(&l->stream);
		a = client_stream(l->cli, path, l->stream.last_id, take_bytes,
		    l);
		if (ferror(stdout) != 0)
			return EXIT_FAILED; /* out_flush tells */
		has_begun = has_begun || a.status == 200;
		if (a.status != 200 && !(has_begun && client_is_passing(&a)))
			return client_check(l->cli, &a);
		if (l->until_ms > 0 && left_s(l) == 0)
			return EXIT_DONE;
		if (a.status != 200) /* one that ended may go on at once */
			dark_begin(l->cli, &l->dark,
			    "what changes now is not known", &a);
		nanosleep(&pause, NULL);
		path = path_of(l);
	}
}

int
cmd_events(struct cli *c)
{
	struct listening l = {.cli = c};
	const char *since = args_value(c, "--since");
	const char *seconds = args_value(c, "--for");
	int64_t n = 0;
	int exit_code;
	rc ret = RC_OK;

	if (since && strlen(since) >= STREAM_ID_MAX) {
		out_error("--since is the id of an event as it was sent");
		return EXIT_USAGE;
	}
	if (seconds)
		ret = enc_parse_i64(seconds, 1, FOR_MAX_S, &n);
	if (ret != RC_OK)
		return EXIT_USAGE; /* the usage allows no such value */
	/* An id that nobody has is no failure of a stream. */
	exit_code = names_before(c, NULL);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (seconds)
		l.until_ms = clock_boot_ms() + n * 1000;
	if (seconds) /* also of a connection that hangs */
		c->deadline_ms = l.until_ms + GRACE_MS;
	stream_init(&l.stream, take, &l);
	if (since)
		(void)snprintf(l.stream.last_id, sizeof(l.stream.last_id), "%s",
		    since);
	exit_code = listen_on(&l);
	stream_fini(&l.stream);
	return exit_code;
}
