/*
 * network-scans: which networks are looked through for certificates, a scan
 * of one now, and SCEP servers asked what they can do.
 */
#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "common/json/json.h"

#define TARGETS "/api/v1/network-scan-targets"

int
cmd_network_scans_list(struct cli *c)
{
	static const struct option options[] = {
	    {"--page", "page"},
	    {"--per-page", "per_page"},
	};
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"NAME", "name", COLUMN_TEXT},
	    {"CIDRS", "cidrs", COLUMN_TEXT},
	    {"PORTS", "ports", COLUMN_TEXT},
	    {"ENABLED", "enabled", COLUMN_TEXT},
	    {"EVERY HOURS", "scan_interval_hours", COLUMN_TEXT},
	    {"LAST SCAN", "last_scan_at", COLUMN_TIME},
	    {"FOUND", "last_scan_certs_found", COLUMN_TEXT},
	};
	const char *path = show_query(c, TARGETS, options, ARRAY_LEN(options));

	return show_rows(c, path, columns, ARRAY_LEN(columns));
}

int
cmd_network_scans_run(struct cli *c)
{
	struct answer a =
	    client_call(c, "POST", client_path(c, TARGETS, "/scan"), NULL);
	int exit_code = client_check_json(c, &a);

	if (exit_code != EXIT_DONE)
		return exit_code;
	return show_done(c, &a,
	    arena_printf(c->arena,
		"scan %s began: see certctl discovery scans --agent-id "
		"server-scanner",
		cell(c, a.json, "id")));
}

/* What did not answer as a SCEP server does is a failure. */
static int
tell_probe(struct cli *c, const struct answer *a)
{
	static const char *const members[] = {"target_url", "reachable",
	    "supports_rfc8894", "supports_aes", "supports_post_operation",
	    "supports_renewal", "supports_sha256", "supports_sha512",
	    "ca_cert_subject", "ca_cert_issuer", "ca_cert_not_before",
	    "ca_cert_not_after", "ca_cert_algorithm", "ca_cert_chain_length"};
	const char *error = "";

	IGNORE_RESULT(json_str(a->json, "error", 65536, &error));
	show_answer(c, a, members, ARRAY_LEN(members));
	if (error[0] == '\0')
		return EXIT_DONE;
	out_error("%s", error);
	return EXIT_FAILED;
}

int
cmd_network_scans_probe(struct cli *c)
{
	struct json_w w;
	struct answer a;
	struct buf body;
	int exit_code;

	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_kv(&w, "url", args_word(c, 0));
	json_w_close(&w, '}');
	a = client_call(c, "POST", "/api/v1/network-scan/scep-probe",
	    buf_cstr(&body));
	buf_fini(&body);
	exit_code = client_check_json(c, &a);
	return exit_code == EXIT_DONE ? tell_probe(c, &a) : exit_code;
}
