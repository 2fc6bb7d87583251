/*
 * replace: all certificates of one issuer become another's.  What would be
 * done is shown before it is begun, whether that is soon enough, and what would
 * stay.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/count.h"
#include "cli/moment.h"
#include "cli/names.h"
#include "cli/out.h"
#include "cli/render.h"
#include "cli/replace_words.h"
#include "common/json/json.h"

#define ALL "/api/v1/replacements"
#define ID_MAX 128
/* A million certificates are looked at before the answer comes. */
#define PLAN_SECONDS 900

/* --- the plan --- */

/* "24h", "90m", "2d", "3600s" or "3600"; what is none of them goes to the
 * server as it is, which says why it is none. */
static const char *
within_seconds(struct cli *c, const char *text)
{
	static const struct {
		char unit;
		int64_t s;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	size_t len = strspn(text, "0123456789");

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (len > 0 && len < 9 && text[len] == units[i].unit &&
		    text[len + 1] == '\0')
			return arena_printf(c->arena, "%lld",
			    strtoll(text, NULL, 10) * (long long)units[i].s);
	}
	return len > 0 && text[len] == '\0' ? text : "0";
}

static void
begin_body(struct cli *c, struct json_w *w)
{
	json_w_open(w, '{');
	json_w_kv(w, "from_issuer_id", args_value(c, "--issuer"));
	json_w_kv(w, "to_issuer_id", args_value(c, "--to"));
	json_w_kv_bool(w, "move_profiles", args_flag(c, "--move-profiles"));
}

static const char *
make_body(struct cli *c)
{
	const char *within = args_value(c, "--within");
	const char *wave = args_value(c, "--wave");
	CLEANUP(buf_fini) struct buf text;
	struct json_w w;

	buf_init(&text, 0);
	json_w_init(&w, &text);
	begin_body(c, &w);
	if (wave)
		json_w_kv_raw(&w, "wave_size", wave);
	if (within)
		json_w_kv_raw(&w, "within_seconds", within_seconds(c, within));
	json_w_kv_opt(&w, "revoke_reason", args_value(c, "--revoke-old"));
	json_w_close(&w, '}');
	return arena_strdup(c->arena, buf_cstr(&text));
}

/* Of a list; after: where it goes on, "" at its begin. */
static const char *
make_list_body(struct cli *c, const char *after)
{
	CLEANUP(buf_fini) struct buf text;
	struct json_w w;

	buf_init(&text, 0);
	json_w_init(&w, &text);
	begin_body(c, &w);
	json_w_kv_opt(&w, "reason", args_value(c, "--reason"));
	json_w_kv_opt(&w, "after", after);
	json_w_close(&w, '}');
	return arena_strdup(c->arena, buf_cstr(&text));
}

/* Whether it is soon enough, and what would be. */
static void
print_deadline(struct cli *c, const struct cJSON *plan)
{
	const struct cJSON *d = json_get(plan, "deadline");
	const char *within, *cap;

	if (!d)
		return;
	within = moment_span(c->arena, replace_number(d, "within_seconds"));
	cap = cell(c, d, "needs_cap");
	if (cJSON_IsTrue(json_get(d, "is_met"))) {
		out_print("that is within %s\n", within);
		return;
	}
	out_print("that is not within %s: it takes a lane of %s a second%s%s "
		  "(docs/operator/lanes.md)\n",
	    within, cell(c, d, "needs_rate_per_s"),
	    strcmp(cap, "-") != 0 ? " and a cap of " : "",
	    strcmp(cap, "-") != 0 ? cap : "");
}

static void
print_groups(struct cli *c, const struct cJSON *list, const char *one,
    const char *many)
{
	const struct cJSON *item;

	cJSON_ArrayForEach(item, list)
	{
		out_print("%s: %s; among them %s\n",
		    count_text(c->arena, cell(c, item, "certificates"), one,
			many),
		    replace_say_reason(cell(c, item, "reason")),
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
	int64_t more = replace_number(plan, "waves") - cJSON_GetArraySize(list);

	cJSON_ArrayForEach(item, list)
	{
		const char *cells[] = {cell(c, item, "wave"),
		    cell(c, item, "certificates"),
		    moment_span(c->arena,
			replace_number(item, "ends_after_seconds"))};

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

	out_print("%s from %s to %s, %s\n",
	    count_text(c->arena, cell(c, plan, "certificates"),
		"certificate goes", "certificates go"),
	    cell(c, plan, "from_issuer_id"), cell(c, plan, "to_issuer_id"),
	    count_text(c->arena, cell(c, plan, "excluded"), "stays", "stay"));
	out_print("lane of %s: %s at once, %s a second%s, breaker %s\n",
	    cell(c, plan, "to_issuer_id"), cell(c, lane, "cap"),
	    cell(c, plan, "rate_per_s"),
	    is_lane ? "" : " expected (it has no rate)",
	    cell(c, lane, "breaker_state"));
	if (strcmp(stop, "-") != 0)
		out_print("nothing moves there now: %s\n",
		    replace_say_stop(stop));
	if (strcmp(cell(c, plan, "open_id"), "-") != 0)
		out_print("%s runs already\n", cell(c, plan, "open_id"));
	print_groups(c, json_get(plan, "waiting"), "waits", "wait");
	print_groups(c, json_get(plan, "cannot_go"), "stays", "stay");
	out_print("%s of %s, done after %s\n",
	    count_text(c->arena, cell(c, plan, "waves"), "wave", "waves"),
	    cell(c, plan, "wave_size"),
	    moment_span(c->arena, replace_number(plan, "seconds")));
	print_deadline(c, plan);
	print_waves(c, plan);
}

/* The issuers may be given by their names. */
static int
send_ends(struct cli *c, const char *path, const char *(*body)(struct cli *c),
    struct answer *out)
{
	bool has_names;
	int exit_code;

	*out = client_call(c, "POST", path, body(c));
	exit_code = names_after(c, out, &has_names);
	if (exit_code == EXIT_DONE && has_names)
		*out = client_call(c, "POST", path, body(c));
	return exit_code;
}

int
cmd_replace(struct cli *c)
{
	bool is_plan = args_flag(c, "--plan");
	bool is_sure = args_flag(c, "--yes");
	struct answer a;
	int exit_code;

	if (strcmp(args_value(c, "--issuer"), args_value(c, "--to")) == 0) {
		out_error("--issuer and --to are the same: there is nothing to "
			  "replace");
		return args_refuse(c);
	}
	if (!is_plan && args_value(c, "--within")) {
		out_error("--within is a question to a plan: add --plan");
		return EXIT_USAGE;
	}
	if (is_plan && args_flag(c, "--dry-run")) {
		out_error("--plan only asks, --dry-run shows what would begin "
			  "it: give one of them");
		return args_refuse(c);
	}
	if (args_flag(c, "--dry-run")) {
		exit_code = names_before(c, NULL);
		if (exit_code != EXIT_DONE ||
		    call_is_dry(c, "POST", ALL, make_body(c)))
			return exit_code;
	}
	c->call_seconds = PLAN_SECONDS;
	if (is_plan || !is_sure) {
		exit_code = send_ends(c, ALL "/plan", make_body, &a);
		if (exit_code == EXIT_DONE)
			exit_code = client_check_json(c, &a);
		if (exit_code != EXIT_DONE)
			return exit_code;
		if (!c->as_json)
			print_plan(c, a.json);
		else if (is_plan)
			render_text(c, a.text);
		if (is_plan)
			return EXIT_DONE;
		exit_code = confirm();
		if (exit_code != EXIT_DONE)
			return exit_code;
	}
	exit_code = send_ends(c, ALL, make_body, &a);
	if (exit_code == EXIT_DONE)
		exit_code = client_check_json(c, &a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	return show_done(c, &a,
	    arena_printf(c->arena,
		"%s has begun; certctl replace watch %s follows it",
		cell(c, a.json, "id"), cell(c, a.json, "id")));
}

/* --- which would stay --- */

static void
print_excluded(struct cli *c, const struct cJSON *list)
{
	const struct cJSON *item;

	cJSON_ArrayForEach(item, list) out_print("%s %s: %s\n",
	    cell(c, item, "id"), cell(c, item, "reason"),
	    replace_say_reason(cell(c, item, "reason")));
}

/* The answer with no more than so many of them. */
static void
cut(struct cli *c, struct answer *a, int64_t most)
{
	struct cJSON *json = cJSON_Duplicate(a->json, true);
	struct cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "data");
	const char *why;
	rc ret;

	while (cJSON_GetArraySize(list) > most)
		cJSON_DeleteItemFromArray(list, cJSON_GetArraySize(list) - 1);
	a->text = json_text(c->arena, json);
	cJSON_Delete(json);
	ret = json_parse(c->arena, a->text, strlen(a->text), &a->json, &why);
	if (ret != RC_OK)
		abort(); /* we wrote it */
}

/* One piece, and of it at most so many; *out_n: how many it has then. */
static int
show_excluded(struct cli *c, struct answer *a, int64_t most, int64_t *out_n)
{
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"REASON", "reason", COLUMN_TEXT},
	};
	const struct cJSON *list;
	int exit_code = client_check_list(c, a, NULL, &list);

	if (exit_code != EXIT_DONE)
		return exit_code;
	if (cJSON_GetArraySize(list) > most) {
		cut(c, a, most);
		list = json_get(a->json, "data");
	}
	*out_n = cJSON_GetArraySize(list);
	if (c->as_json)
		render_list(c, a->json, a->text, list, columns,
		    ARRAY_LEN(columns));
	else
		print_excluded(c, list);
	return EXIT_DONE;
}

/* Piece by piece, as the server looks at them: each is printed as it comes, and
 * forgotten, for there may be a million. */
int
cmd_replace_excluded(struct cli *c)
{
	const char *limit = args_value(c, "--limit"), *next;
	int64_t left = limit ? strtoll(limit, NULL, 10) : INT64_MAX, n = 0;
	struct arena *whole = c->arena;
	char after[ID_MAX + 1] = "";
	bool is_any = false;
	struct answer a;
	int exit_code = names_before(c, NULL);

	if (exit_code != EXIT_DONE)
		return exit_code;
	do {
		c->arena = arena_new();
		a = client_call(c, "POST", ALL "/plan/certificates",
		    make_list_body(c, after));
		after[0] = '\0';
		exit_code = show_excluded(c, &a, left, &n);
		if (exit_code == EXIT_DONE) {
			is_any = is_any || n > 0;
			left -= n;
			if (json_str(a.json, "after", ID_MAX, &next) == RC_OK)
				(void)snprintf(after, sizeof(after), "%s",
				    next);
		}
		arena_free(c->arena);
		c->arena = whole;
	} while (exit_code == EXIT_DONE && after[0] != '\0' && left > 0);
	if (exit_code == EXIT_DONE && !is_any)
		out_tell("No certificate of %s is excluded%s.",
		    args_value(c, "--issuer"),
		    args_value(c, "--reason") ? " for that reason" : "");
	return exit_code;
}
