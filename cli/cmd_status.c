/*
 * status: every process of every host, from the rows they keep; what is not as
 * it should be, worst first, with what to do about it; and so whether the
 * whole is healthy: the API ready, and no condition that is more than a notice.
 */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/render.h"
#include "cli/watch.h"
#include "common/json/json.h"

static bool
is_alive(const struct cJSON *item)
{
	return cJSON_IsTrue(json_get(item, "alive"));
}

/* A worker may live, and not do what its host does not let it. */
static const char *
state(struct cli *c, const struct cJSON *item)
{
	const char *fault = cell(c, item, "fault");

	if (!is_alive(item))
		return "gone";
	if (strcmp(fault, "-") == 0)
		return "alive";
	return arena_printf(c->arena, "alive, fault: %s", fault);
}

/* Whether it ended and one of its name, started later, lives: then it is only
 * how that one was before. */
static bool
is_succeeded(struct cli *c, const struct cJSON *list, const struct cJSON *item)
{
	const char *name = cell(c, item, "name");
	const char *started = cell(c, item, "started_at");
	const struct cJSON *other;

	if (is_alive(item))
		return false;
	cJSON_ArrayForEach(other, list)
	{
		if (is_alive(other) &&
		    strcmp(cell(c, other, "name"), name) == 0 &&
		    strcmp(cell(c, other, "started_at"), started) > 0)
			return true;
	}
	return false;
}

static void
rows(struct cli *c, struct table *t, const struct cJSON *list, const char *kind)
{
	const struct cJSON *item;

	cJSON_ArrayForEach(item, list)
	{
		const char *const cells[] = {kind, cell(c, item, "name"),
		    cell(c, item, "host"), cell(c, item, "pid"), state(c, item),
		    cell_time(c, item, "started_at"), cell(c, item, "version"),
		    cell(c, item, "server")};

		if (!is_succeeded(c, list, item))
			table_row(t, cells);
	}
}

static void
print_processes(struct cli *c, const struct cJSON *processes)
{
	static const char *const heads[] = {"PROCESS", "NAME", "HOST", "PID",
	    "STATE", "STARTED", "VERSION", "DATABASE SERVER"};
	struct table *t = table_new(c, ARRAY_LEN(heads), heads);
	const struct cJSON *leader = json_get(processes, "leader");

	rows(c, t, json_get(processes, "apiservers"), "apiserver");
	rows(c, t, json_get(processes, "schedulers"), "scheduler");
	rows(c, t, json_get(processes, "workers"), "worker");
	table_print(t);
	out_print("\nleader     %s, term %s\n", cell(c, leader, "name"),
	    cell(c, leader, "term"));
}

/* Three lines: what it is and of what, since when and why, what to do. */
static void
print_condition(struct cli *c, const struct cJSON *item)
{
	bool is_capped = cJSON_IsTrue(json_get(item, "count_is_capped"));
	const char *subject = cell(c, item, "subject");
	const char *count = cell(c, item, "count");

	out_print("\n%-8s   %s", cell(c, item, "severity"),
	    cell(c, item, "what"));
	if (strcmp(subject, "-") != 0)
		out_print(": %s", subject);
	if (strcmp(count, "1") != 0)
		out_print(" (the oldest of %s%s)", count,
		    is_capped ? " or more" : "");
	out_print("\n           %s since %s: %s\n", cell(c, item, "name"),
	    cell_time(c, item, "since"), cell(c, item, "detail"));
	out_print("           %s\n", cell(c, item, "advice"));
}

/* Why it is not ready, or what is wrong although it is. */
static void
print_database(struct cli *c, const struct cJSON *ready, bool is_ready)
{
	const char *warning = cell(c, ready, "db_warning");

	if (!is_ready)
		out_print("database   %s\n", cell(c, ready, "error"));
	else if (strcmp(warning, "-") != 0)
		out_print("database   reachable, but %s\n", warning);
	else
		out_print("database   reachable: %s\n",
		    cell(c, ready, "db_server"));
}

/* What /ready knows, where nothing else was answered. */
static void
tell_database(struct cli *c, const struct cJSON *ready)
{
	static const char *const members[] = {"error", "db_warning"};

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const char *why = cell(c, ready, members[i]);

		if (strcmp(why, "-") != 0)
			out_error("the database: %s", why);
	}
}

/* What the calls answered, as one object. */
static void
print_json(struct cli *c, const struct cJSON *processes,
    const struct cJSON *conditions, bool healthy)
{
	struct cJSON *all = cJSON_Duplicate(processes, true);
	struct cJSON *list =
	    cJSON_Duplicate(json_get(conditions, "data"), true);

	if (list && !cJSON_AddItemToObject(all, "conditions", list))
		cJSON_Delete(list);
	(void)cJSON_AddBoolToObject(all, "healthy", healthy);
	render_text(c, json_text(c->arena, all));
	cJSON_Delete(all);
}

static void
print_all(struct cli *c, const struct cJSON *whole, bool is_ready, bool healthy)
{
	const struct cJSON *list =
	    json_get(json_get(whole, "conditions"), "data");
	const struct cJSON *item;

	print_processes(c, json_get(whole, "processes"));
	print_database(c, json_get(whole, "ready"), is_ready);
	cJSON_ArrayForEach(item, list) print_condition(c, item);
	out_print("\n%s\n", healthy ? "healthy" : "NOT healthy");
}

/* --- asking --- */

/* The three answers as one: {"is_ready", "ready", "processes", "conditions"}.
 */
static void
put_together(struct cli *c, const struct answer *ready,
    const struct answer *processes, const struct answer *conditions,
    struct answer *out)
{
	CLEANUP(buf_fini) struct buf b;
	struct json_w w;
	const char *why;
	rc ret;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv_bool(&w, "is_ready", ready->status == 200);
	json_w_kv_raw(&w, "ready",
	    ready->json ? json_text(c->arena, ready->json) : "null");
	json_w_kv_raw(&w, "processes", json_text(c->arena, processes->json));
	json_w_kv_raw(&w, "conditions", json_text(c->arena, conditions->json));
	json_w_close(&w, '}');
	*out = (struct answer){.status = 200,
	    .text = arena_strdup(c->arena, buf_cstr(&b))};
	ret = json_parse(c->arena, out->text, strlen(out->text), &out->json,
	    &why);
	if (ret != RC_OK)
		abort(); /* what was parsed is put together */
}

/* False: *out is what was answered in the place of one of them. */
static bool
ask(struct cli *c, struct answer *ready, struct answer *out)
{
	struct answer processes;

	*ready = *out = client_call(c, "GET", "/ready", NULL);
	if (ready->status == 0)
		return false;
	processes = *out =
	    client_call(c, "GET", "/api/v1/admin/processes", NULL);
	if (out->status != 200 || !cJSON_IsObject(out->json))
		return false;
	*out = client_call(c, "GET", "/api/v1/admin/conditions", NULL);
	if (out->status != 200 || !cJSON_IsArray(json_get(out->json, "data")))
		return false;
	put_together(c, ready, &processes, out, out);
	return true;
}

/* Exit code of what is no status; told. */
static int
refuse(struct cli *c, const struct answer *a)
{
	const struct cJSON *list;
	int exit_code = client_check_list(c, a, NULL, &list);

	return exit_code == EXIT_DONE ? EXIT_FAILED : exit_code;
}

/* Whether all is well. */
static bool
show(struct cli *c, const struct answer *whole)
{
	const struct cJSON *ready = json_get(whole->json, "ready");
	const struct cJSON *conditions = json_get(whole->json, "conditions");
	bool is_ready = cJSON_IsTrue(json_get(whole->json, "is_ready"));
	bool healthy = is_ready && !json_get(ready, "db_warning") &&
		       cJSON_IsTrue(json_get(conditions, "healthy"));

	if (c->as_json)
		print_json(c, json_get(whole->json, "processes"), conditions,
		    healthy);
	else
		print_all(c, whole->json, is_ready, healthy);
	return healthy;
}

/* --- --watch --- */

static int
look_again(struct cli *c, const char *path, struct answer *out)
{
	struct answer ready;

	(void)path;
	(void)ask(c, &ready, out); /* show_again looks which it is */
	return EXIT_DONE;
}

static int
show_again(struct cli *c, const struct answer *a)
{
	if (!json_get(a->json, "is_ready"))
		return refuse(c, a);
	(void)show(c, a); /* what is not well is shown, too */
	return EXIT_DONE;
}

/* All but the times by which processes live, and the database's numbers. */
static const char *
sign(struct cli *c, const struct answer *a)
{
	static const char *const kinds[] = {"apiservers", "schedulers",
	    "workers"};
	static const char *const times[] = {"seen_at", "lease_until"};
	struct cJSON *copy = cJSON_Duplicate(a->json, true);
	struct cJSON *all = cJSON_GetObjectItem(copy, "processes"), *item;
	const char *text;

	cJSON_DeleteItemFromObject(all, "database");
	cJSON_DeleteItemFromObject(cJSON_GetObjectItem(all, "leader"),
	    "expires_in_ms");
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		cJSON_ArrayForEach(item, cJSON_GetObjectItem(all, kinds[i]))
		{
			for (size_t k = 0; k < ARRAY_LEN(times); k++)
				cJSON_DeleteItemFromObject(item, times[k]);
		}
	}
	text = json_text(c->arena, copy);
	cJSON_Delete(copy);
	return text;
}

int
cmd_status(struct cli *c)
{
	const struct watched of = {.path = "", /* of three */
	    .look = look_again,
	    .show = show_again,
	    .sign = sign};
	struct answer ready, whole;
	int exit_code = watch_check(c);
	bool healthy;

	if (exit_code != EXIT_DONE)
		return exit_code;
	if (!ask(c, &ready, &whole)) {
		/* What it knows without the database may say why. */
		if (ready.status != 0)
			tell_database(c, ready.json);
		return refuse(c, &whole);
	}
	healthy = show(c, &whole);
	if (watch_is_wanted(c))
		return watch_go_on(c, &of, &whole);
	return healthy ? EXIT_DONE : EXIT_FAILED;
}
