#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "common/json/json.h"

#define CHECKS "/api/v1/health-checks"

int
cmd_health_checks_list(struct cli *c)
{
	static const struct option options[] = {
	    {"--status", "status"},
	    {"--certificate-id", "certificate_id"},
	    {"--page", "page"},
	    {"--per-page", "per_page"},
	};
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"STATUS", "status", COLUMN_TEXT},
	    {"ENDPOINT", "endpoint", COLUMN_TEXT},
	    {"CERTIFICATE", "certificate_id", COLUMN_TEXT},
	    {"ENDS", "cert_expiry", COLUMN_TIME},
	    {"LAST CHECKED", "last_checked_at", COLUMN_TIME},
	    {"ENABLED", "enabled", COLUMN_TEXT},
	    {"ACKNOWLEDGED", "acknowledged_by", COLUMN_TEXT},
	    {"FAILURE", "failure_reason", COLUMN_TEXT},
	};
	const char *path = show_query(c, CHECKS, options, ARRAY_LEN(options));

	return show_rows(c, path, columns, ARRAY_LEN(columns));
}

int
cmd_health_checks_get(struct cli *c)
{
	static const char *const members[] = {"id", "status", "endpoint",
	    "enabled", "certificate_id", "network_scan_target_id",
	    "expected_fingerprint", "observed_fingerprint", "failure_reason",
	    "consecutive_failures", "degraded_threshold", "down_threshold",
	    "check_interval_seconds", "response_time_ms", "tls_version",
	    "cipher_suite", "cert_subject", "cert_issuer", "cert_expiry",
	    "last_checked_at", "last_success_at", "last_failure_at",
	    "last_transition_at", "acknowledged_by", "acknowledged_at"};

	return show_object(c, client_path(c, CHECKS, ""), members,
	    ARRAY_LEN(members));
}

int
cmd_health_checks_history(struct cli *c)
{
	static const struct option options[] = {{"--limit", "limit"}};
	static const struct column columns[] = {
	    {"CHECKED", "checked_at", COLUMN_TIME},
	    {"STATUS", "status", COLUMN_TEXT},
	    {"TOOK MS", "response_time_ms", COLUMN_TEXT},
	    {"FINGERPRINT", "fingerprint", COLUMN_TEXT},
	    {"FAILURE", "failure_reason", COLUMN_TEXT},
	};
	const char *path = show_query(c, client_path(c, CHECKS, "/history"),
	    options, ARRAY_LEN(options));

	return show_rows(c, path, columns, ARRAY_LEN(columns));
}

int
cmd_health_checks_summary(struct cli *c)
{
	static const char *const members[] = {"healthy", "degraded", "down",
	    "cert_mismatch", "unknown", "total"};

	return show_object(c, CHECKS "/summary", members, ARRAY_LEN(members));
}

int
cmd_health_checks_acknowledge(struct cli *c)
{
	struct answer a;
	struct json_w w;
	struct buf body;
	int exit_code;

	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_kv_opt(&w, "acknowledged_by", args_value(c, "--by"));
	json_w_close(&w, '}');
	a = client_call(c, "POST", client_path(c, CHECKS, "/acknowledge"),
	    buf_cstr(&body));
	buf_fini(&body);
	exit_code = client_check(c, &a);
	return exit_code == EXIT_DONE ? show_done(c, &a, "acknowledged")
				      : exit_code;
}
