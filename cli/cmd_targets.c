#include <cjson/cJSON.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"

#define TARGETS "/api/v1/targets"

int
cmd_targets_list(struct cli *c)
{
	static const struct option options[] = {
	    {"--agent-id", "agent_id"},
	    {"--page", "page"},
	    {"--per-page", "per_page"},
	};
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"NAME", "name", COLUMN_TEXT},
	    {"TYPE", "type", COLUMN_TEXT},
	    {"AGENT", "agent_id", COLUMN_TEXT},
	    {"ENABLED", "enabled", COLUMN_TEXT},
	    {"TEST", "test_status", COLUMN_TEXT},
	    {"TESTED", "last_tested_at", COLUMN_TIME},
	};

	return show_rows(c, show_query(c, TARGETS, options, ARRAY_LEN(options)),
	    columns, ARRAY_LEN(columns));
}

/* A target that fails its test is answered with 200. */
int
cmd_targets_test(struct cli *c)
{
	struct answer a =
	    client_call(c, "POST", client_path(c, TARGETS, "/test"), NULL);
	int exit_code = client_check_json(c, &a);

	if (exit_code != EXIT_DONE)
		return exit_code;
	if (strcmp(cell(c, a.json, "status"), "success") == 0)
		return show_done(c, &a, cell(c, a.json, "message"));
	if (c->as_json)
		out_json(a.text);
	out_error("%s", cell(c, a.json, "message"));
	return EXIT_FAILED;
}
