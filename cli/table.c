#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "cli/cli.h"
#include "cli/moment.h"
#include "cli/out.h"
#include "cli/term.h"
#include "common/base/mem.h"
#include "common/json/json.h"

enum {
	GAP = 2,     /* between two columns */
	CUT_MIN = 8, /* columns that are left of a cell */
};

struct table {
	struct cli *cli;
	size_t ncols, nrows;
	const char **cells; /* (nrows + 1) * ncols; row 0 is the heads */
	size_t *width;      /* of the widest cell of each column */
};

static void
add(struct table *t, const char *const *cells)
{
	t->cells =
	    mem_realloc(t->cells, (t->nrows + 1) * t->ncols, sizeof(*t->cells));
	for (size_t i = 0; i < t->ncols; i++) {
		size_t n = out_width(cells[i]);

		t->cells[t->nrows * t->ncols + i] = cells[i];
		if (n > t->width[i])
			t->width[i] = n;
	}
	t->nrows++;
}

/* The rows grow outside the arena; the table ends with it. */
static void
free_cells(void *arg)
{
	struct table *t = arg;

	free(t->cells);
}

struct table *
table_new(struct cli *c, size_t ncols, const char *const *heads)
{
	struct table *t = arena_alloc(c->arena, sizeof(*t));

	t->cli = c;
	t->ncols = ncols;
	t->width = arena_alloc(c->arena, ncols * sizeof(*t->width));
	arena_defer(c->arena, free_cells, t);
	add(t, heads);
	return t;
}

void
table_row(struct table *t, const char *const *cells)
{
	add(t, cells);
}

/* --- what fits --- */

static size_t
sum(const struct table *t, const size_t *width)
{
	size_t n = (t->ncols - 1) * GAP;

	for (size_t i = 0; i < t->ncols; i++)
		n += width[i];
	return n;
}

/* A head is read whole, and the first column names the row: who copies an id
 * from it must get all of it. */
static size_t
least(const struct table *t, size_t i)
{
	size_t head = out_width(t->cells[i]);
	size_t n = head > CUT_MIN ? head : CUT_MIN;

	return i == 0 || n > t->width[i] ? t->width[i] : n;
}

/* The widest gives way first, a column at a time, until all fit or none can
 * give way. */
static void
fit(const struct table *t, size_t columns, size_t *width)
{
	size_t total = sum(t, width);

	while (total > columns) {
		size_t widest = t->ncols;

		for (size_t i = 0; i < t->ncols; i++) {
			if (width[i] > least(t, i) &&
			    (widest == t->ncols || width[i] > width[widest]))
				widest = i;
		}
		if (widest == t->ncols)
			return;
		width[widest]--;
		total--;
	}
}

/* --- printing --- */

static bool
is_status(const char *head)
{
	return strcmp(head, "STATUS") == 0 || strcmp(head, "STATE") == 0 ||
	       strcmp(head, "DEPLOYED") == 0;
}

static void
print_cell(const struct table *t, size_t row, size_t i, size_t columns)
{
	const char *text = t->cells[row * t->ncols + i];
	enum term_paint paint = TERM_PLAIN;

	if (row == 0)
		paint = TERM_HEAD;
	else if (is_status(t->cells[i]))
		paint = term_paint_of(text);
	text = out_shorten(t->cli->arena, text, columns);
	out_print_painted(paint, text);
	if (i + 1 == t->ncols)
		out_print("\n");
	else
		out_print("%*s", (int)(columns - out_width(text) + GAP), "");
}

void
table_print_within(const struct table *t, size_t columns)
{
	size_t *width = arena_alloc(t->cli->arena, t->ncols * sizeof(*width));

	memcpy(width, t->width, t->ncols * sizeof(*width));
	if (columns > 0)
		fit(t, columns, width);
	for (size_t r = 0; r < t->nrows; r++) {
		for (size_t i = 0; i < t->ncols; i++)
			print_cell(t, r, i, width[i]);
	}
}

void
table_print(const struct table *t)
{
	table_print_within(t,
	    t->cli->format == FORMAT_WIDE ? 0 : term_columns());
}

const char *
cell_value(struct cli *c, const struct cJSON *v)
{
	if (!v || cJSON_IsNull(v))
		return "-";
	if (cJSON_IsString(v))
		return v->valuestring[0] && !moment_is_never(v->valuestring)
			   ? out_harmless(c->arena, v->valuestring)
			   : "-";
	return out_harmless(c->arena, json_text(c->arena, v));
}

const char *
cell(struct cli *c, const struct cJSON *object, const char *name)
{
	return cell_value(c, json_get(object, name));
}

const char *
cell_time(struct cli *c, const struct cJSON *object, const char *name)
{
	int64_t at;

	return moment_read(object, name, &at) ? moment_text(c->arena, at) : "-";
}

const char *
cell_left(struct cli *c, const struct cJSON *object, const char *name)
{
	int64_t at;

	return moment_read(object, name, &at)
		   ? moment_left(c->arena, at - time(NULL))
		   : "-";
}
