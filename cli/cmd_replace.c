/*
 * replace watch: follows a replacement of an issuer by another with its rate.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/moment.h"
#include "cli/out.h"
#include "cli/replace_words.h"
#include "cli/wait.h"
#include "common/json/json.h"

#define ALL "/api/v1/replacements"
#define LOOK_EVERY_MS 1000
#define WATCH_DEFAULT_S 86400

/* What came since the look before, a second. */
static double
rate_since(int64_t *last, double *last_s, int64_t n, double now_s)
{
	double rate = *last < 0 || now_s <= *last_s
			  ? 0
			  : (double)(n - *last) / (now_s - *last_s);

	*last = n;
	*last_s = now_s;
	return rate < 0 ? 0 : rate;
}

static void
tell_progress(struct wait *w, double rate)
{
	struct cli *c = w->cli;
	const struct cJSON *r = w->last.json;
	int64_t got = replace_number(r, "issued") + replace_number(r, "done");
	int64_t left = replace_number(r, "planned") - got;
	const char *stop = cell(c, r, "stop");

	wait_tell(w,
	    arena_printf(c->arena,
		"%s, wave %s of %s: %lld of %s issued, %s served, %s on their "
		"way, %s wait, %s failed; %.1f a second%s%s%s%s",
		cell(c, r, "state"), cell(c, r, "wave"), cell(c, r, "waves"),
		(long long)got, cell(c, r, "planned"), cell(c, r, "done"),
		cell(c, r, "moving"), cell(c, r, "waiting"),
		cell(c, r, "failed"), rate,
		left > 0 && rate > 0 ? ", done in " : "",
		left > 0 && rate > 0
		    ? moment_span(c->arena, (int64_t)((double)left / rate))
		    : "",
		strcmp(stop, "-") != 0 ? "; nothing moves: " : "",
		strcmp(stop, "-") != 0 ? replace_say_stop(stop) : ""));
}

/* EXIT_DONE while there is something to wait for; *out_is_over: nothing is. */
static int
judge(struct cli *c, const struct cJSON *r, bool *out_is_over)
{
	const char *state = cell(c, r, "state");

	*out_is_over = true;
	if (strcmp(state, "completed") == 0)
		return EXIT_DONE;
	if (strcmp(state, "cancelled") == 0) {
		out_error("it was cancelled");
		return EXIT_FAILED;
	}
	if (strcmp(state, "running") == 0 &&
	    cJSON_IsTrue(json_get(r, "is_settled"))) {
		out_error("all went that could: %s wait for somebody and %s "
			  "failed and are tried again; certctl replace "
			  "certificates %s --state waiting|failed names them",
		    cell(c, r, "waiting"), cell(c, r, "failed"),
		    cell(c, r, "id"));
		return EXIT_CONFLICT;
	}
	*out_is_over = false;
	return EXIT_DONE;
}

int
cmd_replace_watch(struct cli *c)
{
	const char *limit = args_value(c, "--timeout");
	const char *path = client_path(c, ALL, "");
	int64_t last = -1, got, said = -1;
	double last_s = 0, now_s;
	struct arena *whole = c->arena;
	struct wait w;
	bool is_over = false;
	int exit_code;

	wait_init(&w, c, limit ? strtoll(limit, NULL, 10) : WATCH_DEFAULT_S,
	    LOOK_EVERY_MS);
	/* What the lane says changes without one; the stream's beats show it.
	 */
	wait_listen(&w,
	    arena_printf(c->arena, "kind=replacement&replacement_id=%s",
		client_escape(c, args_word(c, 0))));
	do {
		if (!wait_look(&w, path))
			continue;
		c->arena = w.held; /* each look's own, for there may be many */
		exit_code = client_check_json(c, &w.last);
		if (exit_code == EXIT_DONE) {
			got = replace_number(w.last.json, "issued") +
			      replace_number(w.last.json, "done");
			now_s = wait_seconds(&w);
			tell_progress(&w,
			    rate_since(&last, &last_s, got, now_s));
			said = got;
			exit_code = judge(c, w.last.json, &is_over);
		}
		c->arena = whole;
		if (exit_code != EXIT_DONE || is_over) {
			wait_fini(&w);
			return exit_code;
		}
	} while (wait_pause(&w));
	wait_fini(&w);
	if (said < 0)
		out_error("nothing is known of it: %s was not there to tell",
		    c->server);
	else
		out_error("it goes on; %lld were issued so far",
		    (long long)said);
	return EXIT_UNREACHABLE;
}
