/*
 * status: every process of every host, from the rows they keep, and whether
 * the control plane as a whole is healthy: the API ready, a leader in its
 * term, and a worker alive.
 */
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "common/json/json.h"

static bool
is_alive(const struct cJSON *item)
{
	return cJSON_IsTrue(json_get(item, "alive"));
}

static int
rows(struct cli *c, struct table *t, const struct cJSON *list, const char *kind)
{
	const struct cJSON *item;
	int alive = 0;

	cJSON_ArrayForEach(item, list)
	{
		const char *const cells[] = {kind, cell(c, item, "name"),
		    cell(c, item, "host"), cell(c, item, "pid"),
		    is_alive(item) ? "alive" : "gone",
		    cell_time(c, item, "started_at"), cell(c, item, "version")};

		table_row(t, cells);
		alive += is_alive(item);
	}
	return alive;
}

int
cmd_status(struct cli *c)
{
	static const char *const heads[] = {"PROCESS", "NAME", "HOST", "PID",
	    "STATE", "STARTED", "VERSION"};
	const struct cJSON *leader;
	int exit_code, apis, schedulers, workers;
	int64_t term = 0, expires_in_ms = 0;
	struct answer ready, a;
	struct table *t;
	bool healthy;

	ready = client_call(c, "GET", "/ready", NULL);
	if (ready.status == 0)
		return client_check(c, &ready);
	a = client_call(c, "GET", "/api/v1/admin/processes", NULL);
	exit_code = client_check_json(c, &a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	t = table_new(c, ARRAY_LEN(heads), heads);
	apis = rows(c, t, json_get(a.json, "apiservers"), "apiserver");
	schedulers = rows(c, t, json_get(a.json, "schedulers"), "scheduler");
	workers = rows(c, t, json_get(a.json, "workers"), "worker");
	leader = json_get(a.json, "leader");
	/* Absent: nobody leads. */
	if (leader) {
		IGNORE_RESULT(json_int(leader, "term", 0, INT64_MAX, &term));
		IGNORE_RESULT(json_int(leader, "expires_in_ms", 0, INT64_MAX,
		    &expires_in_ms));
	}
	healthy = ready.status == 200 && apis > 0 && schedulers > 0 &&
		  workers > 0 && term > 0 && expires_in_ms > 0;
	if (c->as_json) {
		out_json(a.text);
		return healthy ? EXIT_DONE : EXIT_UNREACHABLE;
	}
	table_print(t);
	out_print("\nleader     %s, term %s\n", cell(c, leader, "name"),
	    cell(c, leader, "term"));
	out_print("database   %s\n",
	    ready.status == 200 ? "reachable" : "not reachable");
	out_print("%s\n", healthy ? "healthy" : "NOT healthy");
	return healthy ? EXIT_DONE : EXIT_UNREACHABLE;
}
