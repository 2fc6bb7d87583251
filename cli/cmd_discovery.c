#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "common/json/json.h"

#define FOUND "/api/v1/discovered-certificates"

int
cmd_discovery_list(struct cli *c)
{
	static const struct option options[] = {
	    {"--status", "status"},
	    {"--agent-id", "agent_id"},
	    {"--page", "page"},
	    {"--per-page", "per_page"},
	};
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"STATUS", "status", COLUMN_TEXT},
	    {"COMMON NAME", "common_name", COLUMN_TEXT},
	    {"ENDS", "not_after", COLUMN_TIME},
	    {"AGENT", "agent_id", COLUMN_TEXT},
	    {"PLACE", "source_path", COLUMN_TEXT},
	    {"LAST SEEN", "last_seen_at", COLUMN_TIME},
	    {"CERTIFICATE", "managed_certificate_id", COLUMN_TEXT},
	};
	const char *path = show_query(c, FOUND, options, ARRAY_LEN(options));

	return show_rows(c, path, columns, ARRAY_LEN(columns));
}

int
cmd_discovery_get(struct cli *c)
{
	static const char *const members[] = {"id", "status",
	    "managed_certificate_id", "common_name", "subject_dn", "issuer_dn",
	    "serial_number", "fingerprint_sha256", "not_before", "not_after",
	    "key_algorithm", "key_size", "agent_id", "source_path",
	    "source_format", "first_seen_at", "last_seen_at", "dismissed_at"};

	return show_object(c, client_path(c, FOUND, ""), members,
	    ARRAY_LEN(members));
}

int
cmd_discovery_scans(struct cli *c)
{
	static const struct option options[] = {
	    {"--agent-id", "agent_id"},
	    {"--page", "page"},
	    {"--per-page", "per_page"},
	};
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"AGENT", "agent_id", COLUMN_TEXT},
	    {"STARTED", "started_at", COLUMN_TIME},
	    {"FOUND", "certificates_found", COLUMN_TEXT},
	    {"NEW", "certificates_new", COLUMN_TEXT},
	    {"ERRORS", "errors_count", COLUMN_TEXT},
	};
	const char *path = show_query(c, "/api/v1/discovery-scans", options,
	    ARRAY_LEN(options));

	return show_rows(c, path, columns, ARRAY_LEN(columns));
}

int
cmd_discovery_summary(struct cli *c)
{
	static const char *const members[] = {"Unmanaged", "Managed",
	    "Dismissed"};

	return show_object(c, "/api/v1/discovery-summary", members,
	    ARRAY_LEN(members));
}

static int
triage(struct cli *c, const char *verb, const char *body)
{
	struct answer a =
	    client_call(c, "POST", client_path(c, FOUND, verb), body);
	int exit_code = client_check_json(c, &a);

	if (exit_code != EXIT_DONE)
		return exit_code;
	return show_done(c, &a, cell(c, a.json, "status"));
}

int
cmd_discovery_claim(struct cli *c)
{
	struct json_w w;
	struct buf body;
	int exit_code;

	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_kv(&w, "managed_certificate_id", args_word(c, 1));
	json_w_close(&w, '}');
	exit_code = triage(c, "/claim", buf_cstr(&body));
	buf_fini(&body);
	return exit_code;
}

int
cmd_discovery_dismiss(struct cli *c)
{
	return triage(c, "/dismiss", "{}");
}
