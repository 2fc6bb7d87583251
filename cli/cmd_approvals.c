#include <stdio.h>

#include <cjson/cJSON.h>

#include "cli/cli.h"
#include "common/json/json.h"

int
cmd_approvals_list(struct cli *c, int argc, char **argv)
{
	static const struct option options[] = {
	    {"--state", "state"},
	    {"--certificate-id", "certificate_id"},
	    {"--requested-by", "requested_by"},
	    {"--page", "page"},
	    {"--per-page", "per_page"},
	};
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"STATE", "state", COLUMN_TEXT},
	    {"CERTIFICATE", "certificate_id", COLUMN_TEXT},
	    {"REQUESTED BY", "requested_by", COLUMN_TEXT},
	    {"CREATED", "created_at", COLUMN_TIME},
	    {"DECIDED BY", "decided_by", COLUMN_TEXT},
	    {"NOTE", "decision_note", COLUMN_TEXT},
	};
	const char *path = show_query(c, "/api/v1/approvals", &argc, argv,
	    options, ARRAY_LEN(options));
	int exit_code = args_expect(argc, argv, 0, "");

	if (exit_code != EXIT_DONE)
		return exit_code;
	return show_rows(c, path, columns, ARRAY_LEN(columns));
}

static int
decide(struct cli *c, int argc, char **argv, const char *verb)
{
	const char *note = args_option(&argc, argv, "--note");
	struct json_w w;
	struct answer a;
	struct buf body;
	int exit_code;

	exit_code = args_expect(argc, argv, 1, "the request's id");
	if (exit_code != EXIT_DONE)
		return exit_code;
	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_kv_opt(&w, "note", note);
	json_w_close(&w, '}');
	a = client_call(c, "POST",
	    arena_printf(c->arena, "/api/v1/approvals/%s/%s",
		client_escape(c, argv[0]), verb),
	    buf_cstr(&body));
	buf_fini(&body);
	exit_code = client_check(&a);
	if (exit_code == EXIT_DONE && c->as_json)
		fputs(a.text, stdout);
	else if (exit_code == EXIT_DONE)
		printf("%s\n", cell(c, a.json, "action"));
	return exit_code;
}

int
cmd_approvals_approve(struct cli *c, int argc, char **argv)
{
	return decide(c, argc, argv, "approve");
}

int
cmd_approvals_reject(struct cli *c, int argc, char **argv)
{
	return decide(c, argc, argv, "reject");
}
