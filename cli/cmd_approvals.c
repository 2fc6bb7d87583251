
#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "common/json/json.h"

int
cmd_approvals_list(struct cli *c)
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
	const char *path =
	    show_query(c, "/api/v1/approvals", options, ARRAY_LEN(options));

	return show_rows(c, path, columns, ARRAY_LEN(columns));
}

static int
decide(struct cli *c, const char *verb)
{
	const char *note = args_value(c, "--note");
	struct json_w w;
	struct answer a;
	struct buf body;
	int exit_code;

	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_kv_opt(&w, "note", note);
	json_w_close(&w, '}');
	a = client_call(c, "POST", client_path(c, "/api/v1/approvals", verb),
	    buf_cstr(&body));
	buf_fini(&body);
	exit_code = client_check_json(c, &a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	return show_done(c, &a, cell(c, a.json, "action"));
}

int
cmd_approvals_approve(struct cli *c)
{
	return decide(c, "/approve");
}

int
cmd_approvals_reject(struct cli *c)
{
	return decide(c, "/reject");
}
