/*
 * intermediates retire: in two steps, of which the answer says which.
 */
#include "cli/args.h"
#include "cli/call.h"
#include "cli/cli.h"

int
cmd_intermediates_retire(struct cli *c)
{
	struct answer a = {.status = 0};
	bool is_over;
	int exit_code = call_send(c, &a, &is_over);

	if (exit_code != EXIT_DONE || is_over)
		return exit_code;
	return show_done(c, &a,
	    args_flag(c, "--confirm")
		? "retired for good"
		: "retiring: it signs no more; --confirm retires it for "
		  "good");
}
