#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"

int
cmd_certs_list(struct cli *c)
{
	static const struct option options[] = {
	    {"--status", "status"},
	    {"--page", "page"},
	    {"--per-page", "per_page"},
	};
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"COMMON NAME", "common_name", COLUMN_TEXT},
	    {"STATUS", "status", COLUMN_TEXT},
	    {"DEPLOYED", "deployment_status", COLUMN_TEXT},
	    {"EXPIRES", "expires_at", COLUMN_TIME},
	    {"LEFT", "expires_at", COLUMN_LEFT},
	    {"ISSUER", "issuer_id", COLUMN_TEXT},
	    {"REASON", "reason", COLUMN_TEXT},
	};
	const char *path =
	    show_query(c, "/api/v1/certificates", options, ARRAY_LEN(options));

	return show_rows(c, path, columns, ARRAY_LEN(columns));
}

int
cmd_certs_get(struct cli *c)
{
	static const char *const members[] = {"id", "name", "common_name",
	    "sans", "status", "deployment_status", "reason", "reason_since",
	    "reason_until", "expires_at", "environment", "owner_id", "team_id",
	    "issuer_id", "renewal_policy_id", "target_ids", "served",
	    "last_renewal_at", "last_deployment_at", "ari_window_start",
	    "ari_window_end", "ari_explanation_url", "ari_said", "created_at"};

	return show_object(c, client_path(c, "/api/v1/certificates", ""),
	    members, ARRAY_LEN(members));
}
