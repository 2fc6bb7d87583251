#include "cli/args.h"
#include "cli/call.h"
#include "cli/cli.h"

/* A list of its own, and of the fleet as much as an answer holds. */
int
cmd_agents_list(struct cli *c)
{
	const char *path = args_flag(c, "--retired") ? "/api/v1/agents/retired"
						     : "/api/v1/agents";

	if (!args_has(c, "--per-page") && !args_has(c, "--limit") &&
	    !args_has(c, "--all"))
		path = arena_printf(c->arena, "%s?per_page=500", path);
	return call_list(c, path);
}
