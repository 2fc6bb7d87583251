#include "cli/args.h"
#include "cli/cli.h"

int
cmd_agents_list(struct cli *c)
{
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"NAME", "name", COLUMN_TEXT},
	    {"HOSTNAME", "hostname", COLUMN_TEXT},
	    {"STATUS", "status", COLUMN_TEXT},
	    {"LAST HEARTBEAT", "last_heartbeat_at", COLUMN_TIME},
	    {"VERSION", "version", COLUMN_TEXT},
	};
	bool retired = args_flag(c, "--retired");

	return show_rows(c,
	    retired ? "/api/v1/agents/retired?per_page=500"
		    : "/api/v1/agents?per_page=500",
	    columns, ARRAY_LEN(columns));
}
