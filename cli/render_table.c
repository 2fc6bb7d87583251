/*
 * render_table: rows for people.
 */
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/out.h"
#include "cli/render_view.h"
#include "cli/unheard.h"
#include "common/json/json.h"

enum { COLUMNS_MAX = 128, NAMES_WIDTH = 20, NAMES_WIDTH_MAX = 40 };

static bool
is_unheard(struct cli *c, const struct cJSON *row, const char *member)
{
	return strcmp(member, "status") == 0 && unheard_is(row) &&
	       strcmp(cell(c, row, member), "Online") == 0;
}

static const char *
cell_agent(struct cli *c, const struct cJSON *row, const char *member)
{
	if (is_unheard(c, row, member))
		return "not reported yet";
	return cell_value(c, render_member(c, row, member));
}

static const char *
column_cell(struct cli *c, const struct column *col, const struct cJSON *row)
{
	switch (col->form) {
	case COLUMN_TIME:
		return cell_time(c, row, col->member);
	case COLUMN_LEFT:
		return cell_left(c, row, col->member);
	case COLUMN_AGENT:
		return cell_agent(c, row, col->member);
	case COLUMN_TEXT:
	default:
		return cell_value(c, render_member(c, row, col->member));
	}
}

/* What -o wide shows more: a value of one line. */
static bool
is_short(const struct cJSON *v)
{
	return cJSON_IsNumber(v) || cJSON_IsBool(v) ||
	       (cJSON_IsString(v) && !strchr(v->valuestring, '\n'));
}

static bool
is_column(const struct column *cols, size_t n, const char *member)
{
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(cols[i].member, member) == 0)
			return true;
	}
	return false;
}

/* The view's columns, and of -o wide each member more that some row has. */
static size_t
all_columns(struct cli *c, const struct render_view *v, struct column *out)
{
	size_t n = v->ncols < COLUMNS_MAX ? v->ncols : COLUMNS_MAX;
	const struct cJSON *item;

	memcpy(out, v->cols, n * sizeof(*out));
	if (c->format != FORMAT_WIDE || c->nfields > 0)
		return n;
	for (const struct cJSON *row = render_first(v); row;
	     row = render_next(v, row)) {
		cJSON_ArrayForEach(item, row)
		{
			if (n < COLUMNS_MAX && item->string && is_short(item) &&
			    !is_column(out, n, item->string))
				out[n++] = (struct column){render_head(c,
							       item->string),
				    item->string, COLUMN_TEXT};
		}
	}
	return n;
}

/* How many there are. */
static size_t
print_rows(struct cli *c, const struct render_view *v)
{
	struct column *cols =
	    arena_alloc(c->arena, COLUMNS_MAX * sizeof(*cols));
	const char **cells =
	    arena_alloc(c->arena, COLUMNS_MAX * sizeof(*cells));
	size_t n = all_columns(c, v, cols), nrows = 0;
	struct table *t;

	for (size_t i = 0; i < n; i++)
		cells[i] = cols[i].head;
	t = table_new(c, n, cells);
	for (const struct cJSON *row = render_first(v); row;
	     row = render_next(v, row), nrows++) {
		for (size_t i = 0; i < n; i++)
			cells[i] = column_cell(c, &cols[i], row);
		table_row(t, cells);
	}
	table_print(t);
	return nrows;
}

/* Of the longest name; mostly alike, for answers that stand below another. */
static int
names_width(const struct column *cols, size_t n)
{
	size_t width = NAMES_WIDTH;

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(cols[i].member);

		if (len > width)
			width = len;
	}
	return (int)(width < NAMES_WIDTH_MAX ? width : NAMES_WIDTH_MAX);
}

static void
print_members(struct cli *c, const struct render_view *v)
{
	struct column *cols =
	    arena_alloc(c->arena, COLUMNS_MAX * sizeof(*cols));
	size_t n = all_columns(c, v, cols);
	int width = names_width(cols, n);

	for (size_t i = 0; i < n; i++)
		out_print("%-*s %s\n", width,
		    out_harmless(c->arena, cols[i].member),
		    is_unheard(c, v->json, cols[i].member)
			? "not reported yet: start certctl-agent on its host"
			: column_cell(c, &cols[i], v->json));
}

static bool
is_from_begin(const struct cli *c)
{
	return !c->args || (!args_has(c, "--page") && !args_has(c, "--cursor"));
}

void
render_table(struct cli *c, const struct render_view *v)
{
	const char *total, *shown;

	if (!v->rows) {
		print_members(c, v);
		return;
	}
	shown = arena_printf(c->arena, "%zu", print_rows(c, v));
	if (c->nfields > 0)
		return;
	if (!json_get(v->json, "total")) {
		if (!render_first(v) && is_from_begin(c))
			out_print("0 in all\n"); /* a list without a total */
		return;
	}
	total = cell(c, v->json, "total");
	if (strcmp(shown, total) == 0)
		out_print("%s in all\n", total);
	else
		out_print("%s of %s\n", shown, total);
}
