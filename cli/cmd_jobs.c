
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"

int
cmd_jobs_list(struct cli *c)
{
	static const struct option options[] = {
	    {"--status", "status"},
	    {"--type", "type"},
	    {"--certificate-id", "certificate_id"},
	    {"--target-id", "target_id"},
	    {"--version-id", "version_id"},
	    {"--page", "page"},
	    {"--per-page", "per_page"},
	};
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"TYPE", "type", COLUMN_TEXT},
	    {"STATUS", "status", COLUMN_TEXT},
	    {"CERTIFICATE", "certificate_id", COLUMN_TEXT},
	    {"ATTEMPTS", "attempts", COLUMN_TEXT},
	    {"CREATED", "created_at", COLUMN_TIME},
	    {"REASON", "reason", COLUMN_TEXT},
	    {"ERROR", "last_error", COLUMN_TEXT},
	};
	const char *path =
	    show_query(c, "/api/v1/jobs", options, ARRAY_LEN(options));

	return show_rows(c, path, columns, ARRAY_LEN(columns));
}

int
cmd_jobs_get(struct cli *c)
{
	static const char *const members[] = {"id", "type", "status",
	    "certificate_id", "target_id", "agent_id", "attempts",
	    "max_attempts", "reason", "reason_since", "reason_until",
	    "last_error", "created_at", "started_at", "completed_at",
	    "verification_status", "verified_at", "verification_error"};

	return show_object(c, client_path(c, "/api/v1/jobs", ""), members,
	    ARRAY_LEN(members));
}

int
cmd_jobs_cancel(struct cli *c)
{
	struct answer a;
	int exit_code;

	a = client_call(c, "POST", client_path(c, "/api/v1/jobs", "/cancel"),
	    "{}");
	exit_code = client_check(c, &a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	return show_done(c, &a, "cancelled");
}
