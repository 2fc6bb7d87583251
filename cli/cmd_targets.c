#include <string.h>

#include "cli/call.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/render.h"

/* A target that fails its test is answered with 200. */
int
cmd_targets_test(struct cli *c)
{
	struct answer a = {.status = 0};
	bool is_over;
	int exit_code = call_send(c, &a, &is_over);

	if (exit_code != EXIT_DONE || is_over)
		return exit_code;
	if (strcmp(cell(c, a.json, "status"), "success") == 0)
		return show_done(c, &a, cell(c, a.json, "message"));
	if (c->as_json)
		render_text(c, a.text);
	out_error("%s", cell(c, a.json, "message"));
	return EXIT_FAILED;
}
