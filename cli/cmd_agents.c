#include <stdio.h>

#include <cjson/cJSON.h>

#include "cli/cli.h"
#include "common/json/json.h"

int
cmd_agents_list(struct cli *c, int argc, char **argv)
{
	bool retired = args_flag(&argc, argv, "--retired");
	static const char *const heads[] = {"ID", "NAME", "HOSTNAME", "STATUS",
	    "LAST HEARTBEAT", "VERSION"};
	const struct cJSON *item;
	struct table *t;
	struct answer a;
	int exit_code;

	exit_code = args_expect(argc, argv, 0, "");
	if (exit_code != EXIT_DONE)
		return exit_code;
	a = client_call(c, "GET",
	    retired ? "/api/v1/agents/retired?per_page=500"
		    : "/api/v1/agents?per_page=500",
	    NULL);
	exit_code = client_check(&a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (c->as_json) {
		fputs(a.text, stdout);
		return EXIT_DONE;
	}
	t = table_new(c, ARRAY_LEN(heads), heads);
	cJSON_ArrayForEach(item, json_get(a.json, "data"))
	{
		const char *const cells[] = {cell(c, item, "id"),
		    cell(c, item, "name"), cell(c, item, "hostname"),
		    cell(c, item, "status"),
		    cell_time(c, item, "last_heartbeat_at"),
		    cell(c, item, "version")};

		table_row(t, cells);
	}
	table_print(t);
	return EXIT_DONE;
}
