#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/cli.h"
#include "common/json/json.h"

int
cmd_certs_list(struct cli *c, int argc, char **argv)
{
	const char *status = args_option(&argc, argv, "--status");
	const char *page = args_option(&argc, argv, "--page");
	const char *per_page = args_option(&argc, argv, "--per-page");
	static const char *const heads[] = {"ID", "COMMON NAME", "STATUS",
	    "EXPIRES", "LEFT", "ISSUER"};
	const struct cJSON *item;
	struct table *t;
	struct answer a;
	int exit_code;

	exit_code = args_expect(argc, argv, 0, "");
	if (exit_code != EXIT_DONE)
		return exit_code;
	a = client_call(c, "GET",
	    arena_printf(c->arena,
		"/api/v1/certificates?page=%s&per_page=%s%s%s",
		client_escape(c, page ? page : "1"),
		client_escape(c, per_page ? per_page : "50"),
		status ? "&status=" : "",
		status ? client_escape(c, status) : ""),
	    NULL);
	exit_code = client_check(&a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (c->as_json) {
		fputs(a.text, stdout);
		return EXIT_DONE;
	}
	t = table_new(c, ARRAY_LEN(heads), heads);
	cJSON_ArrayForEach(item, json_get(a.json, "data"))
	{
		const char *const cells[] = {cell(c, item, "id"),
		    cell(c, item, "common_name"), cell(c, item, "status"),
		    cell_time(c, item, "expires_at"),
		    cell_left(c, item, "expires_at"),
		    cell(c, item, "issuer_id")};

		table_row(t, cells);
	}
	table_print(t);
	printf("%s in all\n", cell(c, a.json, "total"));
	return EXIT_DONE;
}

int
cmd_certs_get(struct cli *c, int argc, char **argv)
{
	static const char *const fields[] = {"id", "name", "common_name",
	    "sans", "status", "expires_at", "environment", "owner_id",
	    "team_id", "issuer_id", "renewal_policy_id", "target_ids",
	    "last_renewal_at", "last_deployment_at", "created_at"};
	struct answer a;
	int exit_code;

	exit_code = args_expect(argc, argv, 1, "the certificate's id");
	if (exit_code != EXIT_DONE)
		return exit_code;
	a = client_call(c, "GET",
	    arena_printf(c->arena, "/api/v1/certificates/%s",
		client_escape(c, argv[0])),
	    NULL);
	exit_code = client_check(&a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (c->as_json) {
		fputs(a.text, stdout);
		return EXIT_DONE;
	}
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		printf("%-20s %s\n", fields[i], cell(c, a.json, fields[i]));
	return EXIT_DONE;
}
