/*
 * eab-keys: keys of external account binding, which admit clients of the ACME
 * server.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "common/json/json.h"

#define KEYS "/api/v1/acme/eab-keys"

enum { ID_MAX = 128 };

int
cmd_eab_keys_list(struct cli *c)
{
	static const struct option options[] = {
	    {"--status", "status"},
	    {"--profile-id", "profile_id"},
	    {"--owner-id", "owner_id"},
	    {"--page", "page"},
	    {"--per-page", "per_page"},
	};
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"STATUS", "status", COLUMN_TEXT},
	    {"PROFILE", "profile_id", COLUMN_TEXT},
	    {"OWNER", "owner_id", COLUMN_TEXT},
	    {"REUSABLE", "reusable", COLUMN_TEXT},
	    {"USES", "uses", COLUMN_TEXT},
	    {"ACCOUNT", "account_id", COLUMN_TEXT},
	    {"EXPIRES", "expires_at", COLUMN_TIME},
	    {"DESCRIPTION", "description", COLUMN_TEXT},
	};
	const char *path = show_query(c, KEYS, options, ARRAY_LEN(options));

	return show_rows(c, path, columns, ARRAY_LEN(columns));
}

int
cmd_eab_keys_get(struct cli *c)
{
	static const char *const members[] = {"id", "status", "profile_id",
	    "owner_id", "description", "reusable", "uses", "account_id",
	    "expires_at", "used_at", "revoked_at", "created_by", "created_at"};

	return show_object(c, client_path(c, KEYS, ""), members,
	    ARRAY_LEN(members));
}

int
cmd_eab_keys_create(struct cli *c)
{
	static const char *const members[] = {"id", "hmac_key", "profile_id",
	    "owner_id", "reusable", "expires_at", "message"};
	struct answer a;
	struct json_w w;
	struct buf body;
	int exit_code;

	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_kv_opt(&w, "profile_id", args_value(c, "--profile-id"));
	json_w_kv_opt(&w, "owner_id", args_value(c, "--owner-id"));
	json_w_kv_opt(&w, "description", args_value(c, "--description"));
	json_w_kv_opt(&w, "expires_at", args_value(c, "--expires-at"));
	json_w_kv_bool(&w, "any_profile", args_flag(c, "--any-profile"));
	json_w_kv_bool(&w, "reusable", args_flag(c, "--reusable"));
	json_w_close(&w, '}');
	a = client_call(c, "POST", KEYS, buf_cstr(&body));
	buf_fini(&body);
	exit_code = client_check_json(c, &a);
	if (exit_code == EXIT_DONE)
		show_answer(c, &a, members, ARRAY_LEN(members));
	return exit_code;
}

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

/* One call, for the keys behind that id. */
static struct answer
reseal_some(struct cli *c, const char *after)
{
	struct answer a;
	struct json_w w;
	struct buf body;

	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_kv(&w, "after", after);
	json_w_close(&w, '}');
	a = client_call(c, "POST", KEYS "/reseal", buf_cstr(&body));
	buf_fini(&body);
	return a;
}

/* Call after call; who is stopped in between and starts again goes on, for
 * what is done is found done. */
int
cmd_eab_keys_reseal(struct cli *c)
{
	int64_t sealed = 0, unopened = 0;
	const char *after = "";

	while (after) {
		struct answer a = reseal_some(c, after);
		int exit_code = client_check_json(c, &a);

		if (exit_code == EXIT_DONE)
			exit_code =
			    reseal_add(c, &a, &sealed, &unopened, &after);
		if (exit_code != EXIT_DONE)
			return exit_code;
	}
	if (c->as_json)
		out_json(arena_printf(c->arena,
		    "{\"resealed\":%" PRId64 ",\"unopened\":%" PRId64 "}",
		    sealed, unopened));
	else
		out_print("%" PRId64 " sealed anew, %" PRId64
			  " that do not open\n",
		    sealed, unopened);
	return unopened > 0 ? EXIT_FAILED : EXIT_DONE;
}

int
cmd_eab_keys_revoke(struct cli *c)
{
	struct answer a =
	    client_call(c, "POST", client_path(c, KEYS, "/revoke"), NULL);
	int exit_code = client_check_json(c, &a);

	return exit_code == EXIT_DONE ? show_done(c, &a, "revoked") : exit_code;
}

int
cmd_eab_keys_delete(struct cli *c)
{
	struct answer a =
	    client_call(c, "DELETE", client_path(c, KEYS, ""), NULL);
	int exit_code = client_check(c, &a);

	return exit_code == EXIT_DONE ? show_done(c, &a, "deleted") : exit_code;
}
