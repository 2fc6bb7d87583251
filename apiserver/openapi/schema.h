/*
 * schema: tables of fields as JSON Schema (2020-12), for both ways.
 */
#ifndef APISERVER_OPENAPI_SCHEMA_H
#define APISERVER_OPENAPI_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "apiserver/resources/shape.h"
#include "common/json/json.h"

/* What a field takes; of a query, whose values are texts, each by itself. */
void schema_put_field(struct json_w *w, const struct field *f);
/* The object that a create, or an update, reads; other members are ignored.
 * is_whole: what is required is, as in a create. */
void schema_put_body(struct json_w *w, const struct shape_table *tables,
    bool is_create, bool is_whole);
/* The members of an answer's object, each after its name. */
void schema_put_members(struct json_w *w, const struct shape_table *t);
/* The object that field_rows writes of them all. */
void schema_put_answer(struct json_w *w, const struct shape_table *tables,
    size_t ntables);

#endif
