#include <cjson/cJSON.h>

#include "cli/cli.h"
#include "cli/out.h"
#include "common/json/json.h"

#define COLUMNS_MAX 16

static const char *
column_cell(struct cli *c, const struct column *col, const struct cJSON *item)
{
	switch (col->form) {
	case COLUMN_TIME:
		return cell_time(c, item, col->member);
	case COLUMN_LEFT:
		return cell_left(c, item, col->member);
	case COLUMN_TEXT:
	default:
		return cell(c, item, col->member);
	}
}

static void
print_rows(struct cli *c, const struct cJSON *data, const struct column *cols,
    size_t n)
{
	const char *cells[COLUMNS_MAX];
	const struct cJSON *item;
	struct table *t;

	for (size_t i = 0; i < n; i++)
		cells[i] = cols[i].head;
	t = table_new(c, n, cells);
	cJSON_ArrayForEach(item, data)
	{
		for (size_t i = 0; i < n; i++)
			cells[i] = column_cell(c, &cols[i], item);
		table_row(t, cells);
	}
	table_print(t);
}

int
show_list(struct cli *c, const struct answer *a, const char *rows,
    const struct column *cols, size_t n)
{
	const struct cJSON *data;
	int exit_code;

	exit_code = c->as_json ? client_check_json(c, a)
			       : client_check_list(c, a, rows, &data);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (c->as_json) {
		out_json(a->text);
		return EXIT_DONE;
	}
	print_rows(c, data, cols, n);
	if (json_get(a->json, "total"))
		out_print("%s in all\n", cell(c, a->json, "total"));
	return EXIT_DONE;
}

int
show_rows(struct cli *c, const char *path, const struct column *cols, size_t n)
{
	struct answer a = client_call(c, "GET", path, NULL);

	return show_list(c, &a, NULL, cols, n);
}

void
show_answer(struct cli *c, const struct answer *a, const char *const *members,
    size_t n)
{
	if (c->as_json) {
		out_json(a->text);
		return;
	}
	for (size_t i = 0; i < n; i++)
		out_print("%-20s %s\n", members[i],
		    cell(c, a->json, members[i]));
}

int
show_object(struct cli *c, const char *path, const char *const *members,
    size_t n)
{
	struct answer a;
	int exit_code;

	a = client_call(c, "GET", path, NULL);
	exit_code = client_check_json(c, &a);
	if (exit_code == EXIT_DONE)
		show_answer(c, &a, members, n);
	return exit_code;
}

int
show_done(struct cli *c, const struct answer *a, const char *what)
{
	if (!c->as_json)
		out_print("%s\n", what);
	else if (a->json)
		out_json(a->text);
	else
		out_json("{}"); /* done, without a word */
	return EXIT_DONE;
}
