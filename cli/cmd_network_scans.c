/*
 * network-scans probe: a SCEP server asked what it can do.
 */
#include "cli/args.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "common/json/json.h"

/* What did not answer as a SCEP server does is a failure. */
int
cmd_network_scans_probe(struct cli *c)
{
	struct answer a = {.status = 0};
	const char *error = "";
	bool is_over;
	int exit_code = call_send(c, &a, &is_over);

	if (exit_code != EXIT_DONE || is_over)
		return exit_code;
	exit_code = call_show(c, &a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	IGNORE_RESULT(json_str(a.json, "error", 65536, &error));
	if (error[0] == '\0')
		return EXIT_DONE;
	out_error("%s", error);
	return EXIT_FAILED;
}
