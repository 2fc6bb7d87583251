/*
 * replace: all certificates of one issuer become another's.  What would be
 * done is shown before it is begun; watch follows it with its rate.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/wait.h"
#include "common/json/json.h"

#define ALL "/api/v1/replacements"
#define LOOK_EVERY_MS 1000
#define WATCH_DEFAULT_S 86400

/* Words of the server for what a certificate waits for or stays for. */
/* What a word of the API means to people. */
struct meaning {
	const char *word, *says;
};

static const struct meaning reasons[] = {
    {"acme_client", "their ACME clients renew them when their renewal windows, "
		    "which move, say so"},
    {"agent_offline", "their agents are offline and make no key until they "
		      "come back"},
    {"approval", "their profile demands an approval"},
    {"archived", "archived"},
    {"csr", "their agents have sent no CSR"},
    {"expired", "expired; their ACME clients let them end"},
    {"gone", "removed"},
    {"held", "an open transaction holds them"},
    {"job_open", "an order at the old CA is followed to its end first"},
    {"moved_on", "given another issuer by somebody"},
    {"no_key_holder",
	"no agent and no ACME client has their key; map them to a target"},
    {"policy_forbids", "a policy of allowed issuers has the new one not"},
    {"profile_pins", "their profile names another issuer; --move-profiles "
		     "changes those that name the old one"},
    {"revoked", "revoked"},
};

static const struct meaning stops[] = {
    {"ca_ended", "its CA has ended"},
    {"issuer_disabled", "it is disabled"},
    {"lane_closed", "its lane is closed (cap 0)"},
    {"lane_stopped", "its calls failed and its breaker is open"},
};

static const char *
say(const struct meaning *all, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(all[i].word, word) == 0)
			return all[i].says;
	}
	return word;
}

static const char *
say_reason(const char *word)
{
	return say(reasons, ARRAY_LEN(reasons), word);
}

static const char *
say_stop(const char *word)
{
	return say(stops, ARRAY_LEN(stops), word);
}

/* "2 d 3 h", "4 h 5 min", "6 min 7 s", "8 s" */
static const char *
say_seconds(struct cli *c, int64_t s)
{
	if (s >= 86400)
		return arena_printf(c->arena, "%lld d %lld h",
		    (long long)(s / 86400), (long long)(s % 86400 / 3600));
	if (s >= 3600)
		return arena_printf(c->arena, "%lld h %lld min",
		    (long long)(s / 3600), (long long)(s % 3600 / 60));
	if (s >= 60)
		return arena_printf(c->arena, "%lld min %lld s",
		    (long long)(s / 60), (long long)(s % 60));
	return arena_printf(c->arena, "%lld s", (long long)s);
}

static int64_t
number(const struct cJSON *object, const char *name)
{
	int64_t n = 0;

	IGNORE_RESULT(json_int(object, name, 0, INT64_MAX, &n));
	return n;
}

/* --- the plan --- */

/* NULL, and told: an option is missing. */
static const char *
make_body(struct cli *c)
{
	const char *from = args_value(c, "--issuer");
	const char *to = args_value(c, "--to");
	const char *wave = args_value(c, "--wave");
	const char *reason = args_value(c, "--revoke-old");
	CLEANUP(buf_fini) struct buf text;
	struct json_w w;

	buf_init(&text, 0);
	if (!from || !to) {
		out_error("replace takes --issuer, the one to leave, and --to, "
			  "the one to have");
		return NULL;
	}
	json_w_init(&w, &text);
	json_w_open(&w, '{');
	json_w_kv(&w, "from_issuer_id", from);
	json_w_kv(&w, "to_issuer_id", to);
	if (wave)
		json_w_kv_raw(&w, "wave_size", wave);
	json_w_kv_opt(&w, "revoke_reason", reason);
	json_w_kv_bool(&w, "move_profiles", args_flag(c, "--move-profiles"));
	json_w_close(&w, '}');
	return arena_strdup(c->arena, buf_cstr(&text));
}

static void
print_groups(struct cli *c, const struct cJSON *list, const char *before)
{
	const struct cJSON *item;

	cJSON_ArrayForEach(item, list)
	{
		out_print("%s %s: %s; among them %s\n", before,
		    cell(c, item, "certificates"),
		    say_reason(cell(c, item, "reason")),
		    cell(c, item, "certificate_ids"));
	}
}

static void
print_waves(struct cli *c, const struct cJSON *plan)
{
	static const char *const heads[] = {"WAVE", "CERTIFICATES",
	    "ENDS AFTER"};
	struct table *t = table_new(c, ARRAY_LEN(heads), heads);
	const struct cJSON *list = json_get(plan, "wave_ends"), *item;
	int64_t more = number(plan, "waves") - cJSON_GetArraySize(list);

	cJSON_ArrayForEach(item, list)
	{
		const char *cells[] = {cell(c, item, "wave"),
		    cell(c, item, "certificates"),
		    say_seconds(c, number(item, "ends_after_seconds"))};

		table_row(t, cells);
	}
	if (cJSON_GetArraySize(list) > 0)
		table_print(t);
	if (more > 0)
		out_print("and %lld more\n", (long long)more);
}

static void
print_plan(struct cli *c, const struct cJSON *plan)
{
	const struct cJSON *lane = json_get(plan, "lane");
	const char *stop = cell(c, plan, "stop");
	bool is_lane = cJSON_IsTrue(json_get(plan, "rate_is_lane"));

	out_print("%s certificates go from %s to %s, %s stay\n",
	    cell(c, plan, "certificates"), cell(c, plan, "from_issuer_id"),
	    cell(c, plan, "to_issuer_id"), cell(c, plan, "excluded"));
	out_print("lane of %s: %s at once, %s a second%s, breaker %s\n",
	    cell(c, plan, "to_issuer_id"), cell(c, lane, "cap"),
	    cell(c, plan, "rate_per_s"),
	    is_lane ? "" : " expected (it has no rate)",
	    cell(c, lane, "breaker_state"));
	if (strcmp(stop, "-") != 0)
		out_print("nothing moves there now: %s\n", say_stop(stop));
	if (strcmp(cell(c, plan, "open_id"), "-") != 0)
		out_print("%s runs already\n", cell(c, plan, "open_id"));
	print_groups(c, json_get(plan, "waiting"), "wait");
	print_groups(c, json_get(plan, "cannot_go"), "stay");
	out_print("%s waves of %s, done after %s\n", cell(c, plan, "waves"),
	    cell(c, plan, "wave_size"),
	    say_seconds(c, number(plan, "seconds")));
	print_waves(c, plan);
}

int
cmd_replace(struct cli *c)
{
	bool is_plan = args_flag(c, "--plan");
	bool is_sure = args_flag(c, "--yes");
	const char *body = make_body(c);
	struct answer a;
	int exit_code;

	if (!body)
		return EXIT_USAGE;
	if (is_plan || !is_sure) {
		a = client_call(c, "POST", ALL "/plan", body);
		exit_code = client_check_json(c, &a);
		if (exit_code != EXIT_DONE)
			return exit_code;
		if (!c->as_json)
			print_plan(c, a.json);
		else if (is_plan)
			out_json(a.text);
		if (is_plan)
			return EXIT_DONE;
		exit_code = confirm();
		if (exit_code != EXIT_DONE)
			return exit_code;
	}
	a = client_call(c, "POST", ALL, body);
	exit_code = client_check_json(c, &a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	return show_done(c, &a,
	    arena_printf(c->arena,
		"%s has begun; certctl replace watch %s follows it",
		cell(c, a.json, "id"), cell(c, a.json, "id")));
}

/* --- one that runs --- */

static const char *const members[] = {"id", "state", "stop", "from_issuer_id",
    "to_issuer_id", "wave", "waves", "wave_size", "planned", "moved", "moving",
    "waiting", "failed", "issued", "done", "skipped", "returned", "rate_per_s",
    "ends_at", "revoke_reason", "created_by", "created_at", "ended_at"};

int
cmd_replace_list(struct cli *c)
{
	static const struct option options[] = {
	    {"--state", "state"},
	    {"--page", "page"},
	    {"--per-page", "per_page"},
	};
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"STATE", "state", COLUMN_TEXT},
	    {"FROM", "from_issuer_id", COLUMN_TEXT},
	    {"TO", "to_issuer_id", COLUMN_TEXT},
	    {"PLANNED", "planned", COLUMN_TEXT},
	    {"DONE", "done", COLUMN_TEXT},
	    {"BEGUN", "created_at", COLUMN_TIME},
	};

	return show_rows(c, show_query(c, ALL, options, ARRAY_LEN(options)),
	    columns, ARRAY_LEN(columns));
}

int
cmd_replace_get(struct cli *c)
{
	return show_object(c, client_path(c, ALL, ""), members,
	    ARRAY_LEN(members));
}

int
cmd_replace_certificates(struct cli *c)
{
	static const struct option options[] = {
	    {"--state", "state"},
	    {"--page", "page"},
	    {"--per-page", "per_page"},
	};
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"STATE", "state", COLUMN_TEXT},
	    {"REASON", "reason", COLUMN_TEXT},
	    {"SINCE", "moved_at", COLUMN_TIME},
	};

	return show_rows(c,
	    show_query(c, client_path(c, ALL, "/certificates"), options,
		ARRAY_LEN(options)),
	    columns, ARRAY_LEN(columns));
}

static int
turn(struct cli *c, const char *how, const char *done)
{
	struct answer a =
	    client_call(c, "POST", client_path(c, ALL, how), NULL);
	int exit_code = client_check_json(c, &a);

	return exit_code == EXIT_DONE ? show_done(c, &a, done) : exit_code;
}

int
cmd_replace_pause(struct cli *c)
{
	return turn(c, "/pause",
	    "paused: nothing more moves, what is under way goes on");
}

int
cmd_replace_resume(struct cli *c)
{
	return turn(c, "/resume", "goes on");
}

int
cmd_replace_cancel(struct cli *c)
{
	return turn(c, "/cancel",
	    "cancelled: what has got nothing yet goes back to its issuer");
}

/* --- watch --- */

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
	int64_t got = number(r, "issued") + number(r, "done");
	int64_t left = number(r, "planned") - got;
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
		    ? say_seconds(c, (int64_t)((double)left / rate))
		    : "",
		strcmp(stop, "-") != 0 ? "; nothing moves: " : "",
		strcmp(stop, "-") != 0 ? say_stop(stop) : ""));
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
	do {
		if (!wait_look(&w, path))
			continue;
		c->arena = w.held; /* each look's own, for there may be many */
		exit_code = client_check_json(c, &w.last);
		if (exit_code == EXIT_DONE) {
			got = number(w.last.json, "issued") +
			      number(w.last.json, "done");
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
	out_error("it goes on; %lld were issued so far", (long long)said);
	return EXIT_FAILED;
}
