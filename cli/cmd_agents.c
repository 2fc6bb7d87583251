#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"

int
cmd_agents_list(struct cli *c)
{
	static const struct option options[] = {
	    {"--status", "status"},
	    {"--page", "page"},
	    {"--per-page", "per_page"},
	};
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"NAME", "name", COLUMN_TEXT},
	    {"HOSTNAME", "hostname", COLUMN_TEXT},
	    {"STATUS", "status", COLUMN_TEXT},
	    {"LAST HEARTBEAT", "last_heartbeat_at", COLUMN_TIME},
	    {"VERSION", "version", COLUMN_TEXT},
	};
	const char *path = show_query(c,
	    args_flag(c, "--retired") ? "/api/v1/agents/retired"
				      : "/api/v1/agents",
	    options, ARRAY_LEN(options));

	if (args_value(c, "--per-page") == NULL)
		path = arena_printf(c->arena, "%s%cper_page=500", path,
		    strchr(path, '?') != NULL ? '&' : '?');
	return show_rows(c, path, columns, ARRAY_LEN(columns));
}
