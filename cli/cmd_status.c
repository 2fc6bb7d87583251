/*
 * status: every process of every host, from the rows they keep; what is not as
 * it should be, worst first, with what to do about it; and so whether the
 * whole is healthy: the API ready, and no condition that is more than a notice.
 */
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/render.h"
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
print_database(struct cli *c, const struct answer *ready)
{
	const char *warning = cell(c, ready->json, "db_warning");

	if (ready->status != 200)
		out_print("database   %s\n", cell(c, ready->json, "error"));
	else if (strcmp(warning, "-") != 0)
		out_print("database   reachable, but %s\n", warning);
	else
		out_print("database   reachable: %s\n",
		    cell(c, ready->json, "db_server"));
}

/* What /ready knows, where nothing else was answered. */
static void
tell_database(struct cli *c, const struct answer *ready)
{
	static const char *const members[] = {"error", "db_warning"};

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const char *why = cell(c, ready->json, members[i]);

		if (strcmp(why, "-") != 0)
			out_error("the database: %s", why);
	}
}

static void
print_all(struct cli *c, const struct answer *ready,
    const struct cJSON *processes, const struct cJSON *conditions)
{
	const struct cJSON *item;

	print_processes(c, processes);
	print_database(c, ready);
	cJSON_ArrayForEach(item, json_get(conditions, "data"))
	    print_condition(c, item);
}

/* What the two calls answered, as one object. */
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

int
cmd_status(struct cli *c)
{
	struct answer ready, processes, conditions;
	const struct cJSON *list;
	int exit_code;
	bool healthy;

	ready = client_call(c, "GET", "/ready", NULL);
	if (ready.status == 0)
		return client_check(c, &ready);
	processes = client_call(c, "GET", "/api/v1/admin/processes", NULL);
	exit_code = client_check_json(c, &processes);
	if (exit_code != EXIT_DONE) {
		/* What it knows without the database may say why. */
		tell_database(c, &ready);
		return exit_code;
	}
	conditions = client_call(c, "GET", "/api/v1/admin/conditions", NULL);
	exit_code = client_check_list(c, &conditions, NULL, &list);
	if (exit_code != EXIT_DONE) {
		tell_database(c, &ready);
		return exit_code;
	}
	healthy = ready.status == 200 && !json_get(ready.json, "db_warning") &&
		  cJSON_IsTrue(json_get(conditions.json, "healthy"));
	if (c->as_json) {
		print_json(c, processes.json, conditions.json, healthy);
	} else {
		print_all(c, &ready, processes.json, conditions.json);
		out_print("\n%s\n", healthy ? "healthy" : "NOT healthy");
	}
	return healthy ? EXIT_DONE : EXIT_FAILED;
}
