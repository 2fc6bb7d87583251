#include "cli/args.h"
#include "cli/cli.h"

static const struct option page_options[] = {
    {"--page", "page"},
    {"--per-page", "per_page"},
};

int
cmd_policies_list(struct cli *c)
{
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"NAME", "name", COLUMN_TEXT},
	    {"TYPE", "type", COLUMN_TEXT},
	    {"SEVERITY", "severity", COLUMN_TEXT},
	    {"ENABLED", "enabled", COLUMN_TEXT},
	};
	const char *path = show_query(c, "/api/v1/policies", page_options,
	    ARRAY_LEN(page_options));

	return show_rows(c, path, columns, ARRAY_LEN(columns));
}

static int
violations(struct cli *c, const char *of)
{
	static const struct column columns[] = {
	    {"SEVERITY", "severity", COLUMN_TEXT},
	    {"CERTIFICATE", "certificate_id", COLUMN_TEXT},
	    {"POLICY", "rule_id", COLUMN_TEXT},
	    {"SINCE", "created_at", COLUMN_TIME},
	    {"WHAT", "message", COLUMN_TEXT},
	};
	const char *path = client_path(c, of, "/violations");

	return show_rows(c,
	    show_query(c, path, page_options, ARRAY_LEN(page_options)), columns,
	    ARRAY_LEN(columns));
}

int
cmd_policies_violations(struct cli *c)
{
	return violations(c, "/api/v1/policies");
}

int
cmd_certs_violations(struct cli *c)
{
	return violations(c, "/api/v1/certificates");
}
