/*
 * eab-keys: keys of external account binding, which admit clients of the ACME
 * server.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>

#include "cli/call.h"
#include "cli/cli.h"
#include "cli/count.h"
#include "cli/out.h"
#include "cli/render.h"
#include "common/json/json.h"

#define KEYS "/api/v1/acme/eab-keys"

enum { ID_MAX = 128 };

/* Adds how many were sealed anew and how many do not open, which it tells;
 * *after: the id to go on behind, or NULL at the end. */
static int
reseal_add(struct cli *c, const struct answer *a, int64_t *sealed,
    int64_t *unopened, const char **after)
{
	const struct cJSON *ids = json_get(a->json, "unopened"), *id;
	int64_t n;
	rc ret;

	ret = json_int(a->json, "resealed", 0, INT32_MAX, &n);
	if (ret != RC_OK || !cJSON_IsArray(ids)) {
		out_error("the server's answer does not say how many");
		return EXIT_FAILED;
	}
	*sealed += n;
	cJSON_ArrayForEach(id, ids)
	{
		const char *text = cJSON_GetStringValue(id);

		out_error("%s opens under no passphrase of the server",
		    text ? out_harmless(c->arena, text) : "one");
		(*unopened)++;
	}
	*after = NULL;
	IGNORE_RESULT(json_str(a->json, "next", ID_MAX, after));
	return EXIT_DONE;
}

/* Of one call, for the keys behind that id. */
static const char *
body_behind(struct cli *c, const char *after)
{
	CLEANUP(buf_fini) struct buf body;
	struct json_w w;

	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_kv(&w, "after", after);
	json_w_close(&w, '}');
	return arena_strdup(c->arena, buf_cstr(&body));
}

/* Call after call; who is stopped in between and starts again goes on, for
 * what is done is found done. */
int
cmd_eab_keys_reseal(struct cli *c)
{
	int64_t sealed = 0, unopened = 0;
	const char *after = "";

	if (call_is_dry(c, "POST", KEYS "/reseal", body_behind(c, after)))
		return EXIT_DONE;
	while (after) {
		struct answer a = client_call(c, "POST", KEYS "/reseal",
		    body_behind(c, after));
		int exit_code = client_check_json(c, &a);

		if (exit_code == EXIT_DONE)
			exit_code =
			    reseal_add(c, &a, &sealed, &unopened, &after);
		if (exit_code != EXIT_DONE)
			return exit_code;
	}
	if (c->as_json)
		render_text(c,
		    arena_printf(c->arena,
			"{\"resealed\":%" PRId64 ",\"unopened\":%" PRId64 "}",
			sealed, unopened));
	else
		out_print("%" PRId64 " sealed anew, %s\n", sealed,
		    count_of(c->arena, unopened, "that does not open",
			"that do not open"));
	return unopened > 0 ? EXIT_FAILED : EXIT_DONE;
}
