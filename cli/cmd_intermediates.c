/*
 * intermediates: the CAs of issuers' hierarchies.
 */
#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "common/json/json.h"

static const char *
path_of(struct cli *c, const char *rest)
{
	return arena_printf(c->arena, "/api/v1/intermediates/%s%s",
	    client_escape(c, args_word(c, 0)), rest);
}

int
cmd_intermediates_list(struct cli *c)
{
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"NAME", "name", COLUMN_TEXT},
	    {"STATE", "state", COLUMN_TEXT},
	    {"ABOVE", "parent_ca_id", COLUMN_TEXT},
	    {"SUBJECT", "subject", COLUMN_TEXT},
	    {"UNTIL", "not_after", COLUMN_TIME},
	    {"LEFT", "not_after", COLUMN_LEFT},
	};

	return show_rows(c,
	    arena_printf(c->arena, "/api/v1/issuers/%s/intermediates",
		client_escape(c, args_word(c, 0))),
	    columns, ARRAY_LEN(columns));
}

int
cmd_intermediates_get(struct cli *c)
{
	static const char *const members[] = {"id", "name", "state",
	    "owning_issuer_id", "parent_ca_id", "subject", "not_before",
	    "not_after", "path_len_constraint", "name_constraints",
	    "ocsp_responder_url", "key_driver_id", "created_at", "updated_at"};

	return show_object(c, path_of(c, ""), members, ARRAY_LEN(members));
}

int
cmd_intermediates_retire(struct cli *c)
{
	bool confirm = args_flag(c, "--confirm");
	struct answer a;
	struct json_w w;
	struct buf body;
	int exit_code;

	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_kv_bool(&w, "confirm", confirm);
	json_w_kv_opt(&w, "note", args_value(c, "--note"));
	json_w_close(&w, '}');
	a = client_call(c, "POST", path_of(c, "/retire"), buf_cstr(&body));
	buf_fini(&body);
	exit_code = client_check_json(c, &a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	return show_done(c, &a,
	    confirm ? "retired for good"
		    : "retiring: it signs no more; --confirm retires it for "
		      "good");
}
