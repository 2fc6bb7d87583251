/*
 * eab-keys: keys of external account binding, which admit clients of the ACME
 * server.
 */
#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "common/json/json.h"

#define KEYS "/api/v1/acme/eab-keys"

static const char *
path_of(struct cli *c, const char *rest)
{
	return arena_printf(c->arena, KEYS "/%s%s",
	    client_escape(c, args_word(c, 0)), rest);
}

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

	return show_object(c, path_of(c, ""), members, ARRAY_LEN(members));
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

int
cmd_eab_keys_revoke(struct cli *c)
{
	struct answer a = client_call(c, "POST", path_of(c, "/revoke"), NULL);
	int exit_code = client_check_json(c, &a);

	return exit_code == EXIT_DONE ? show_done(c, &a, "revoked") : exit_code;
}

int
cmd_eab_keys_delete(struct cli *c)
{
	struct answer a = client_call(c, "DELETE", path_of(c, ""), NULL);
	int exit_code = client_check(c, &a);

	return exit_code == EXIT_DONE ? show_done(c, &a, "deleted") : exit_code;
}
