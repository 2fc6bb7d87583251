/*
 * issuers bundle: what clients are to trust.
 */
#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/render.h"
#include "common/json/json.h"

#define ISSUERS "/api/v1/issuers"

/* What clients are to trust: one after the other, also the one that will sign.
 */
int
cmd_issuers_bundle(struct cli *c)
{
	struct answer a =
	    client_call(c, "GET", client_path(c, ISSUERS, "/cas"), NULL);
	const struct cJSON *data, *item;
	const char *pem;
	int exit_code;

	exit_code = client_check_list(c, &a, NULL, &data);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (cJSON_GetArraySize(data) == 0) {
		out_error("this issuer has no CA of ours");
		return EXIT_NOT_FOUND;
	}
	if (c->as_json) {
		render_text(c, a.text);
		return EXIT_DONE;
	}
	cJSON_ArrayForEach(item, data)
	{
		if (json_str(item, "certificate_pem", 65536, &pem) == RC_OK)
			out_print("%s", pem);
	}
	return EXIT_DONE;
}
