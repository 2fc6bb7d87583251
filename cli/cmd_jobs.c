#include <stdio.h>

#include <cjson/cJSON.h>

#include "cli/cli.h"
#include "common/json/json.h"

int
cmd_jobs_list(struct cli *c, int argc, char **argv)
{
	static const char *const filters[] = {"--status", "--type",
	    "--certificate-id", "--target-id", "--page", "--per-page"};
	static const char *const names[] = {"status", "type", "certificate_id",
	    "target_id", "page", "per_page"};
	static const char *const heads[] = {"ID", "TYPE", "STATUS",
	    "CERTIFICATE", "ATTEMPTS", "CREATED", "ERROR"};
	const char *path = "/api/v1/jobs?", *value;
	const struct cJSON *item;
	struct table *t;
	struct answer a;
	int exit_code;

	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		value = args_option(&argc, argv, filters[i]);
		if (value)
			path = arena_printf(c->arena, "%s%s=%s&", path,
			    names[i], client_escape(c, value));
	}
	exit_code = args_expect(argc, argv, 0, "");
	if (exit_code != EXIT_DONE)
		return exit_code;
	a = client_call(c, "GET", path, NULL);
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
		    cell(c, item, "type"), cell(c, item, "status"),
		    cell(c, item, "certificate_id"), cell(c, item, "attempts"),
		    cell_time(c, item, "created_at"),
		    cell(c, item, "last_error")};

		table_row(t, cells);
	}
	table_print(t);
	return EXIT_DONE;
}

int
cmd_jobs_get(struct cli *c, int argc, char **argv)
{
	static const char *const fields[] = {"id", "type", "status",
	    "certificate_id", "target_id", "agent_id", "attempts",
	    "max_attempts", "last_error", "created_at", "started_at",
	    "completed_at", "verification_status", "verified_at",
	    "verification_error"};
	struct answer a;
	int exit_code;

	exit_code = args_expect(argc, argv, 1, "the job's id");
	if (exit_code != EXIT_DONE)
		return exit_code;
	a = client_call(c, "GET",
	    arena_printf(c->arena, "/api/v1/jobs/%s",
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

int
cmd_jobs_cancel(struct cli *c, int argc, char **argv)
{
	struct answer a;
	int exit_code;

	exit_code = args_expect(argc, argv, 1, "the job's id");
	if (exit_code != EXIT_DONE)
		return exit_code;
	a = client_call(c, "POST",
	    arena_printf(c->arena, "/api/v1/jobs/%s/cancel",
		client_escape(c, argv[0])),
	    "{}");
	exit_code = client_check(&a);
	if (exit_code == EXIT_DONE)
		printf("%s\n", c->as_json ? a.text : "cancelled");
	return exit_code;
}
