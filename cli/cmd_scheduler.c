/*
 * scheduler run: a duty now, and with --wait until it has run.
 */
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/count.h"
#include "cli/out.h"
#include "cli/render.h"
#include "cli/wait.h"
#include "common/json/json.h"

#define LOOK_EVERY_MS 200
#define WAIT_DEFAULT_S 120

static const struct cJSON *
find_duty(const struct answer *a, const char *name)
{
	const struct cJSON *item;
	const char *text;

	cJSON_ArrayForEach(item, json_get(a->json, "data"))
	{
		if (json_str(item, "name", 128, &text) == RC_OK &&
		    strcmp(text, name) == 0)
			return item;
	}
	return NULL;
}

/* Whether the run that was asked for has ended: its start takes the request
 * away and says running, in one statement. */
static bool
has_run(struct cli *c, const struct cJSON *duty)
{
	return json_get(duty, "run_requested_at") == NULL &&
	       strcmp(cell(c, duty, "state"), "running") != 0;
}

static int
tell_outcome(struct cli *c, const struct cJSON *duty)
{
	const char *outcome = cell(c, duty, "last_outcome");
	bool is_good = strcmp(outcome, "ok") == 0;

	if (c->as_json) {
		render_text(c, json_text(c->arena, duty));
	} else {
		out_print("%s: %s, %s in %s ms\n", cell(c, duty, "name"),
		    outcome,
		    count_text(c->arena, cell(c, duty, "last_rows"), "row",
			"rows"),
		    cell(c, duty, "last_duration_ms"));
		if (!is_good)
			out_error("%s", cell(c, duty, "last_error"));
	}
	return is_good ? EXIT_DONE : EXIT_FAILED;
}

static int
follow(struct cli *c, struct wait *w, const char *name)
{
	int exit_code = EXIT_FAILED;
	const struct cJSON *duty;

	/* A run that was asked for has events; that the duty is off by now, or
	 * its end could not be written, the stream's beats show. */
	wait_listen(w, arena_printf(c->arena, "kind=duty&duty=%s",
			   client_escape(c, name)));
	do {
		if (!wait_look(w, "/api/v1/admin/scheduler"))
			continue;
		exit_code = client_check_json(c, &w->last);
		duty = find_duty(&w->last, name);
		if (exit_code == EXIT_DONE && duty && has_run(c, duty))
			exit_code = tell_outcome(c, duty);
		else if (exit_code == EXIT_DONE)
			continue;
		return exit_code;
	} while (wait_pause(w));
	out_error("%s has not ended yet; see certctl scheduler", name);
	return EXIT_UNREACHABLE;
}

int
cmd_scheduler_run(struct cli *c)
{
	bool wait = args_flag(c, "--wait");
	int64_t seconds = WAIT_DEFAULT_S;
	const char *note, *path;
	struct answer a;
	struct wait w;
	int exit_code;

	exit_code = args_timeout(c, &seconds);
	if (exit_code != EXIT_DONE)
		return exit_code;
	path = call_path(c, args_command(c)->path);
	if (call_is_dry(c, "POST", path, NULL))
		return EXIT_DONE;
	if (wait) /* its time is that of the first call too */
		wait_init(&w, c, seconds, LOOK_EVERY_MS);
	a = client_call(c, "POST", path, NULL);
	exit_code = client_check(c, &a);
	if (wait && exit_code == EXIT_DONE)
		exit_code = follow(c, &w, args_word(c, 0));
	if (wait)
		wait_fini(&w);
	if (wait || exit_code != EXIT_DONE)
		return exit_code;
	note = cell(c, a.json, "note");
	return show_done(c, &a,
	    arena_printf(c->arena, "%s was asked for%s%s", args_word(c, 0),
		strcmp(note, "-") == 0 ? "" : ": ",
		strcmp(note, "-") == 0 ? "" : note));
}
