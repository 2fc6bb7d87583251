#include "cli/render.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "cli/out.h"
#include "cli/render_view.h"
#include "common/json/json.h"

/* --- what was asked for --- */

bool
render_take_format(struct cli *c, const char *word)
{
	static const struct {
		const char *word;
		enum format format;
	} all[] = {
	    {"table", FORMAT_TABLE},
	    {"wide", FORMAT_WIDE},
	    {"json", FORMAT_JSON},
	    {"yaml", FORMAT_YAML},
	    {"csv", FORMAT_CSV},
	    {"name", FORMAT_NAME},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (strcmp(word, all[i].word) == 0) {
			c->format = all[i].format;
			c->as_json = c->nfields > 0 || c->format > FORMAT_WIDE;
			return true;
		}
	}
	return false;
}

bool
render_take_fields(struct cli *c, const char *list)
{
	const char **fields =
	    arena_alloc(c->arena, RENDER_FIELDS_MAX * sizeof(*fields));
	size_t n = 0;

	for (const char *p = list;; p++) {
		size_t len = strcspn(p, ",");

		if (len == 0 || n == RENDER_FIELDS_MAX) {
			out_error("--fields is a list of members, a,b,c, of %d "
				  "at most",
			    RENDER_FIELDS_MAX);
			return false;
		}
		fields[n++] = arena_strndup(c->arena, p, len);
		p += len;
		if (*p == '\0')
			break;
	}
	c->fields = fields;
	c->nfields = n;
	c->as_json = true;
	return true;
}

/* --- --fields --- */

/* The columns of --fields; one that the command has keeps its form. */
static void
take_columns(struct cli *c, struct render_view *v)
{
	struct column *cols = arena_alloc(c->arena, c->nfields * sizeof(*cols));

	for (size_t i = 0; i < c->nfields; i++) {
		cols[i] = (struct column){render_head(c, c->fields[i]),
		    c->fields[i], COLUMN_TEXT};
		for (size_t j = 0; j < v->ncols; j++) {
			if (strcmp(v->cols[j].member, c->fields[i]) == 0) {
				cols[i] = v->cols[j];
				break;
			}
		}
	}
	v->cols = cols;
	v->ncols = c->nfields;
	v->is_known = true;
}

static bool
has_member(struct cli *c, const struct render_view *v, const char *path)
{
	for (const struct cJSON *row = render_first(v); row;
	     row = render_next(v, row)) {
		if (render_member(c, row, path))
			return true;
	}
	return false;
}

/* What no row has may be a slip of the hand: it is told, with what there is. */
static void
tell_absent(struct cli *c, const struct render_view *v)
{
	const struct cJSON *first = render_first(v), *item;
	const char *there = "";

	if (!first)
		return; /* of an empty list nobody knows */
	cJSON_ArrayForEach(item, first) if (item->string) there =
	    arena_printf(c->arena, "%s%s%s", there, there[0] ? ", " : "",
		out_harmless(c->arena, item->string));
	for (size_t i = 0; i < c->nfields; i++) {
		if (!has_member(c, v, c->fields[i]))
			out_tell("warning: nothing here has a member \"%s\"; "
				 "there are %s",
			    c->fields[i], there);
	}
}

static struct cJSON *
project_row(struct cli *c, const struct cJSON *row)
{
	struct cJSON *out = cJSON_CreateObject(), *copy;
	const struct cJSON *value;

	for (size_t i = 0; i < c->nfields; i++) {
		value = render_member(c, row, c->fields[i]);
		copy =
		    value ? cJSON_Duplicate(value, true) : cJSON_CreateNull();
		(void)cJSON_AddItemToObject(out, c->fields[i], copy);
	}
	return out;
}

static void
delete_json(void *arg)
{
	cJSON_Delete(arg);
}

/* The answer with its rows cut down; what is about the list stays. */
static const struct cJSON *
project(struct cli *c, const struct render_view *v)
{
	struct cJSON *out, *rows;
	const struct cJSON *item;

	if (!v->rows) {
		out = project_row(c, v->json);
		arena_defer(c->arena, delete_json, out);
		return out;
	}
	rows = cJSON_CreateArray();
	cJSON_ArrayForEach(item, v->rows)(void)
	    cJSON_AddItemToArray(rows, project_row(c, item));
	out = rows;
	if (v->rows != v->json) {
		out = cJSON_CreateObject();
		cJSON_ArrayForEach(item, v->json)(void)
		    cJSON_AddItemToObject(out, item->string,
			item == v->rows ? rows : cJSON_Duplicate(item, true));
	}
	arena_defer(c->arena, delete_json, out);
	return out;
}

/* --- formats --- */

/* By what a row is called in other commands. */
static const struct cJSON *
name_of(const struct render_view *v, const struct cJSON *row)
{
	static const char *const names[] = {"id", "job_id", "name"};
	const struct cJSON *name = NULL;

	for (size_t i = 0; i < ARRAY_LEN(names) && !name; i++)
		name = json_get(row, names[i]);
	if (!name && v->is_known && v->ncols > 0)
		name = json_get(row, v->cols[0].member);
	return cJSON_IsString(name) && name->valuestring[0] != '\0' ? name
								    : NULL;
}

static void
render_names(struct cli *c, const struct render_view *v)
{
	const struct cJSON *name;

	for (const struct cJSON *row = render_first(v); row;
	     row = render_next(v, row)) {
		name = name_of(v, row);
		if (!name) {
			out_error("the answer has no id to print: take another "
				  "format than -o name");
			c->is_unshown = true;
			return;
		}
		out_print("%s\n", out_harmless(c->arena, name->valuestring));
	}
}

static void
render(struct cli *c, struct render_view *v, const char *text)
{
	const struct cJSON *json = v->json;

	if (c->nfields > 0)
		take_columns(c, v);
	if (c->nfields > 0 && c->nrendered == 0)
		tell_absent(c, v);
	switch (c->format) {
	case FORMAT_YAML:
		render_yaml(c, c->nfields > 0 ? project(c, v) : json);
		break;
	case FORMAT_CSV:
		render_csv(c, v);
		break;
	case FORMAT_NAME:
		render_names(c, v);
		break;
	case FORMAT_TABLE:
	case FORMAT_WIDE:
		render_table(c, v);
		break;
	case FORMAT_JSON:
	default:
		out_json(
		    c->nfields > 0 ? json_text(c->arena, project(c, v)) : text);
	}
	c->nrendered++;
}

void
render_list(struct cli *c, const struct cJSON *json, const char *text,
    const struct cJSON *rows, const struct column *cols, size_t n)
{
	struct render_view v = {.json = json,
	    .rows = rows,
	    .cols = cols,
	    .ncols = n,
	    .is_known = n > 0};

	render(c, &v, text);
}

void
render_object(struct cli *c, const struct cJSON *json, const char *text,
    const char *const *members, size_t n)
{
	struct column *cols = arena_alloc(c->arena, n * sizeof(*cols) + 1);
	struct render_view v = {.json = json,
	    .cols = cols,
	    .ncols = n,
	    .is_known = n > 0};

	for (size_t i = 0; i < n; i++)
		cols[i] = (struct column){members[i], members[i], COLUMN_TEXT};
	render(c, &v, text);
}

static bool
is_list_of_objects(const struct cJSON *json)
{
	const struct cJSON *item;

	if (!cJSON_IsArray(json))
		return false;
	cJSON_ArrayForEach(item, json)
	{
		if (!cJSON_IsObject(item))
			return false;
	}
	return true;
}

void
render_text(struct cli *c, const char *text)
{
	struct render_view v = {.json = NULL};
	const char *why;

	if (c->nfields == 0 && c->format <= FORMAT_JSON) {
		out_json(text);
		c->nrendered++;
		return;
	}
	if (json_parse(c->arena, text, strlen(text), &v.json, &why) != RC_OK) {
		out_error("the answer is no JSON: %s", why);
		c->is_unshown = true;
		return;
	}
	if (is_list_of_objects(v.json))
		v.rows = v.json;
	else if (is_list_of_objects(json_get(v.json, "data")))
		v.rows = json_get(v.json, "data");
	render(c, &v, text);
}
