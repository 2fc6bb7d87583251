#include "apiserver/openapi/schema.h"

#define ID_PATTERN "^[A-Za-z0-9._][A-Za-z0-9._-]*$"

static const char *const types[] = {
    [FIELD_TEXT] = "string",
    [FIELD_INT] = "integer",
    [FIELD_NUMBER] = "number",
    [FIELD_BOOL] = "boolean",
    [FIELD_TIME] = "string",
    [FIELD_TEXTS] = "array",
    [FIELD_INTS] = "array",
    [FIELD_OBJECTS] = "array",
    [FIELD_TAGS] = "object",
    [FIELD_OBJECT] = "object",
    [FIELD_CONFIG] = "object",
};

/* --- what is taken --- */

static void
put_text(struct json_w *w, const struct field *f)
{
	if ((f->flags & FIELD_REQUIRED) != 0)
		json_w_kv_int(w, "minLength", 1);
	if (f->max > 0)
		json_w_kv_int(w, "maxLength", f->max);
	if ((f->flags & FIELD_ID) != 0)
		json_w_kv(w, "pattern",
		    (f->flags & (FIELD_REQUIRED | FIELD_EMPTY_ABSENT)) ==
			    FIELD_EMPTY_ABSENT
			? "^$|" ID_PATTERN
			: ID_PATTERN);
	if (f->words == NULL)
		return;
	json_w_key(w, "enum");
	json_w_open(w, '[');
	for (size_t i = 0; f->words[i] != NULL; i++)
		json_w_str(w, f->words[i]);
	json_w_close(w, ']');
}

static void
put_range(struct json_w *w, const struct field *f)
{
	if (f->max <= f->min)
		return;
	/* 0 may stand for the default. */
	json_w_kv_int(w, "minimum",
	    (f->flags & (FIELD_ZERO_DEFAULT | FIELD_ZERO_ABSENT)) != 0 &&
		    f->min > 0
		? 0
		: f->min);
	json_w_kv_int(w, "maximum", f->max);
}

static void
put_items(struct json_w *w, const struct field *f)
{
	json_w_key(w, "items");
	json_w_open(w, '{');
	json_w_kv(w, "type",
	    f->type == FIELD_INTS      ? "integer"
	    : f->type == FIELD_OBJECTS ? "object"
				       : "string");
	if (f->type == FIELD_INTS)
		put_range(w, f);
	if (f->type == FIELD_TEXTS) {
		json_w_kv_int(w, "minLength", 1);
		put_text(w, f);
	}
	json_w_close(w, '}');
	json_w_kv_int(w, "maxItems",
	    f->type == FIELD_INTS ? FIELD_INTS_MAX
	    : f->max_items > 0    ? (int64_t)f->max_items
				  : FIELD_TEXTS_MAX);
}

static void
put_tags(struct json_w *w, const struct field *f)
{
	json_w_kv_int(w, "maxProperties", FIELD_TAGS_MAX);
	json_w_key(w, "additionalProperties");
	json_w_open(w, '{');
	json_w_kv(w, "type", "string");
	json_w_kv_int(w, "maxLength", f->max);
	json_w_close(w, '}');
}

/* The numbers that an object consists of. */
static void
put_numbers(struct json_w *w, const struct field *f)
{
	json_w_key(w, "properties");
	json_w_open(w, '{');
	for (size_t i = 0; i < f->nmembers; i++) {
		json_w_key(w, f->members[i].name);
		json_w_open(w, '{');
		json_w_kv(w, "type", "integer");
		put_range(w, &f->members[i]);
		json_w_close(w, '}');
	}
	json_w_close(w, '}');
	json_w_kv_bool(w, "additionalProperties", false);
}

static void
put_type(struct json_w *w, const struct field *f)
{
	json_w_key(w, "type");
	if ((f->flags & FIELD_CLEARABLE) == 0) {
		json_w_str(w, types[f->type]);
		return;
	}
	json_w_open(w, '[');
	json_w_str(w, types[f->type]);
	json_w_str(w, "null");
	json_w_close(w, ']');
}

void
schema_put_field(struct json_w *w, const struct field *f)
{
	json_w_open(w, '{');
	put_type(w, f);
	if (f->type == FIELD_TEXT)
		put_text(w, f);
	if (f->type == FIELD_TIME)
		json_w_kv(w, "format", "date-time");
	if (f->type == FIELD_INT)
		put_range(w, f);
	if (f->type == FIELD_TEXTS || f->type == FIELD_INTS ||
	    f->type == FIELD_OBJECTS)
		put_items(w, f);
	if (f->type == FIELD_TAGS)
		put_tags(w, f);
	if (f->members != NULL)
		put_numbers(w, f);
	if (f->dflt != NULL)
		json_w_kv_raw(w, "default", f->dflt);
	json_w_close(w, '}');
}

static bool
is_read(const struct field *f, bool is_create)
{
	return (f->flags & FIELD_READ_ONLY) == 0 &&
	       (is_create || (f->flags & FIELD_CREATE_ONLY) == 0);
}

static void
put_members(struct json_w *w, const struct shape_table *tables, bool is_create)
{
	json_w_key(w, "properties");
	json_w_open(w, '{');
	for (size_t t = 0; t < SHAPE_TABLES_MAX; t++) {
		for (size_t i = 0; i < shape_table_n(&tables[t]); i++) {
			const struct field *f = &tables[t].fields[i];

			if (!is_read(f, is_create))
				continue;
			json_w_key(w, f->name);
			schema_put_field(w, f);
		}
	}
	json_w_close(w, '}');
}

void
schema_put_body(struct json_w *w, const struct shape_table *tables,
    bool is_create, bool is_whole)
{
	json_w_open(w, '{');
	json_w_kv(w, "type", "object");
	put_members(w, tables, is_create);
	json_w_key(w, "required");
	json_w_open(w, '[');
	for (size_t t = 0; is_whole && t < SHAPE_TABLES_MAX; t++) {
		for (size_t i = 0; i < shape_table_n(&tables[t]); i++) {
			const struct field *f = &tables[t].fields[i];

			if (is_read(f, is_create) &&
			    (f->flags & FIELD_REQUIRED) != 0)
				json_w_str(w, f->name);
		}
	}
	json_w_close(w, ']');
	json_w_close(w, '}');
}

/* --- what is answered --- */

static void
put_answered(struct json_w *w, const struct field *f)
{
	json_w_key(w, f->name);
	json_w_open(w, '{');
	json_w_kv(w, "type", types[f->type]);
	if (f->type == FIELD_TIME)
		json_w_kv(w, "format", "date-time");
	if (f->type == FIELD_TEXTS || f->type == FIELD_INTS)
		json_w_kv_raw(w, "items",
		    f->type == FIELD_TEXTS ? "{\"type\":\"string\"}"
					   : "{\"type\":\"integer\"}");
	if (f->type == FIELD_OBJECTS)
		json_w_kv_raw(w, "items", "{\"type\":\"object\"}");
	if (f->type == FIELD_TAGS)
		json_w_kv_raw(w, "additionalProperties",
		    "{\"type\":\"string\"}");
	if (f->members != NULL)
		put_numbers(w, f);
	json_w_close(w, '}');
}

void
schema_put_members(struct json_w *w, const struct shape_table *t)
{
	for (size_t i = 0; i < shape_table_n(t); i++) {
		if ((t->fields[i].flags & FIELD_WRITE_ONLY) == 0)
			put_answered(w, &t->fields[i]);
	}
}

void
schema_put_answer(struct json_w *w, const struct shape_table *tables,
    size_t ntables)
{
	json_w_open(w, '{');
	json_w_kv(w, "type", "object");
	json_w_key(w, "properties");
	json_w_open(w, '{');
	for (size_t i = 0; i < ntables; i++)
		schema_put_members(w, &tables[i]);
	json_w_close(w, '}');
	json_w_close(w, '}');
}
