/*
 * issuers: whether they can be used, their CAs, a root's successor, and the
 * move to it.
 */
#include <cjson/cJSON.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "common/json/json.h"

#define ISSUERS "/api/v1/issuers"

int
cmd_issuers_cas(struct cli *c)
{
	static const struct column columns[] = {
	    {"STATE", "state", COLUMN_TEXT},
	    {"FROM", "not_before", COLUMN_TIME},
	    {"UNTIL", "not_after", COLUMN_TIME},
	    {"LEFT", "not_after", COLUMN_LEFT},
	    {"REVOCATION LIST", "list", COLUMN_TEXT},
	    {"FINGERPRINT", "fingerprint_sha256", COLUMN_TEXT},
	};

	return show_rows(c, client_path(c, ISSUERS, "/cas"), columns,
	    ARRAY_LEN(columns));
}

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

	exit_code = client_check_list(c, &a, &data);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (cJSON_GetArraySize(data) == 0) {
		out_error("this issuer has no CA of ours");
		return EXIT_NOT_FOUND;
	}
	if (c->as_json) {
		out_json(a.text);
		return EXIT_DONE;
	}
	cJSON_ArrayForEach(item, data)
	{
		if (json_str(item, "certificate_pem", 65536, &pem) == RC_OK)
			out_print("%s", pem);
	}
	return EXIT_DONE;
}

static int
post(struct cli *c, const char *verb, const char *body, const char *done)
{
	struct answer a =
	    client_call(c, "POST", client_path(c, ISSUERS, verb), body);
	int exit_code = client_check_json(c, &a);

	return exit_code == EXIT_DONE ? show_done(c, &a, done) : exit_code;
}

int
cmd_issuers_list(struct cli *c)
{
	static const struct option options[] = {
	    {"--page", "page"},
	    {"--per-page", "per_page"},
	};
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"NAME", "name", COLUMN_TEXT},
	    {"TYPE", "type", COLUMN_TEXT},
	    {"ENABLED", "enabled", COLUMN_TEXT},
	    {"TEST", "test_status", COLUMN_TEXT},
	    {"TESTED", "last_tested_at", COLUMN_TIME},
	};

	return show_rows(c,
	    show_query(c, "/api/v1/issuers", options, ARRAY_LEN(options)),
	    columns, ARRAY_LEN(columns));
}

/* An issuer that fails its test answers with an error. */
int
cmd_issuers_test(struct cli *c)
{
	return post(c, "/test", NULL,
	    arena_printf(c->arena, "%s can be used", args_word(c, 0)));
}

int
cmd_issuers_succeed(struct cli *c)
{
	return post(c, "/successor", NULL,
	    arena_printf(c->arena,
		"a successor is made beside the root of %s: see "
		"certctl issuers cas %s",
		args_word(c, 0), args_word(c, 0)));
}

int
cmd_issuers_switch(struct cli *c)
{
	struct json_w w;
	struct buf body;
	int exit_code;

	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_kv(&w, "fingerprint_sha256", args_word(c, 1));
	json_w_close(&w, '}');
	exit_code = post(c, "/switch", buf_cstr(&body),
	    arena_printf(c->arena, "%s signs with that CA from now on",
		args_word(c, 0)));
	buf_fini(&body);
	return exit_code;
}
