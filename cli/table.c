#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "cli/cli.h"
#include "cli/out.h"
#include "common/base/mem.h"
#include "common/json/json.h"

#define COLUMNS_MAX 16

struct table {
	struct cli *cli;
	size_t ncols, nrows;
	const char **cells; /* (nrows + 1) * ncols; row 0 is the heads */
	size_t width[COLUMNS_MAX];
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
	arena_defer(c->arena, free_cells, t);
	add(t, heads);
	return t;
}

void
table_row(struct table *t, const char *const *cells)
{
	add(t, cells);
}

void
table_print(const struct table *t)
{
	for (size_t r = 0; r < t->nrows; r++) {
		for (size_t i = 0; i < t->ncols; i++) {
			const char *text = t->cells[r * t->ncols + i];

			if (i + 1 == t->ncols)
				out_print("%s\n", text);
			else
				out_print("%s%*s", text,
				    (int)(t->width[i] - out_width(text) + 2),
				    "");
		}
	}
}

const char *
cell(struct cli *c, const struct cJSON *object, const char *name)
{
	const struct cJSON *v = json_get(object, name);

	if (!v || cJSON_IsNull(v))
		return "-";
	if (cJSON_IsString(v))
		return v->valuestring[0]
			   ? out_harmless(c->arena, v->valuestring)
			   : "-";
	return out_harmless(c->arena, json_text(c->arena, v));
}

static bool
parse_time(const struct cJSON *object, const char *name, time_t *out)
{
	const struct cJSON *v = json_get(object, name);
	struct tm tm = {0};

	if (!cJSON_IsString(v) ||
	    !strptime(v->valuestring, "%Y-%m-%dT%H:%M:%S", &tm) ||
	    tm.tm_year < 100)
		return false; /* year 1 is how the API says "never" */
	*out = timegm(&tm);
	return true;
}

const char *
cell_time(struct cli *c, const struct cJSON *object, const char *name)
{
	char text[32];
	struct tm tm;
	time_t at;

	if (!parse_time(object, name, &at))
		return "-";
	gmtime_r(&at, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	return arena_strdup(c->arena, text);
}

const char *
cell_left(struct cli *c, const struct cJSON *object, const char *name)
{
	long long left;
	time_t at;

	if (!parse_time(object, name, &at))
		return "-";
	left = (long long)(at - time(NULL));
	if (left <= 0)
		return "expired";
	if (left >= 2 * 86400)
		return arena_printf(c->arena, "%lld d", left / 86400);
	if (left >= 2 * 3600)
		return arena_printf(c->arena, "%lld h", left / 3600);
	return arena_printf(c->arena, "%lld min", (left + 59) / 60);
}
