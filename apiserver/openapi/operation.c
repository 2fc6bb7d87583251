#include "apiserver/openapi/operation.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "apiserver/openapi/schema.h"
#include "apiserver/openapi/shapes.h"
#include "apiserver/resources/resource.h"

enum { PATTERN_MAX = 256, NOUN_FILTERS_MAX = 4 };

/* A row, and the shape that it has, or that its noun gives it. */
struct described {
	const struct route *route;
	struct route_rules rules;
	struct shape shape;
	struct field filters[NOUN_FILTERS_MAX];
	char does[80];
	bool is_known;
};

/* --- a noun's five --- */

static bool
has_id(const struct route *route)
{
	return strchr(route->pattern, '{') != NULL;
}

static void
describe_noun(struct described *d, const struct resource *noun)
{
	const char *method = d->route->method;
	bool is_list = strcmp(method, "GET") == 0 && !has_id(d->route);
	const char *verb = is_list                         ? "List: "
			   : strcmp(method, "GET") == 0    ? "Get: "
			   : strcmp(method, "POST") == 0   ? "Make: "
			   : strcmp(method, "DELETE") == 0 ? "Delete: "
							   : "Change: ";

	(void)snprintf(d->does, sizeof(d->does), "%s%s", verb, noun->label);
	d->shape.does = d->does;
	d->shape.noun = noun;
	if (strcmp(method, "POST") == 0)
		d->shape.status = 201;
	if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
		d->shape.has_body = true;
		d->shape.body[0] =
		    (struct shape_table){noun->fields, noun->nfields, NULL};
	}
	if (!is_list && noun->warn != NULL)
		d->shape.more_fields =
		    (struct shape_table){warn_fields, warn_nfields, NULL};
	if (strcmp(method, "PUT") == 0 && noun->asks_approval)
		d->shape.other_status = 202;
	if (strcmp(method, "DELETE") == 0)
		d->shape.answer = SHAPE_NOTHING;
	if (!is_list)
		return;
	d->shape.answer = SHAPE_PAGE;
	for (; d->shape.nquery < NOUN_FILTERS_MAX; d->shape.nquery++) {
		const char *name = noun->filters[d->shape.nquery];

		if (name == NULL)
			break;
		d->filters[d->shape.nquery] = (struct field){name, FIELD_TEXT};
	}
	d->shape.query = d->filters;
}

static void
describe(struct described *d, const struct route_area *area,
    const struct route *route)
{
	const struct shape *shape = shapes_of(route->start);

	*d = (struct described){.route = route,
	    .rules = route_resolve(area, route)};
	if (route->resource != NULL)
		describe_noun(d, route->resource);
	else if (shape != NULL)
		d->shape = *shape;
	d->shape.has_tag |= route->reads != 0;
	d->is_known = route->resource != NULL || shape != NULL;
}

/* --- the path --- */

/* The next parameter of *rest, which moves behind it; false: there is none. */
static bool
next_param(const char **rest, char name[PATTERN_MAX], char kind[PATTERN_MAX])
{
	const char *from = strchr(*rest, '{'), *to;
	size_t len;

	if (from == NULL)
		return false;
	from++;
	to = from + strcspn(from, "}");
	len = strcspn(from, ":.}");
	(void)snprintf(name, PATTERN_MAX, "%.*s", (int)len, from);
	if (from[len] == ':')
		(void)snprintf(kind, PATTERN_MAX, "%.*s",
		    (int)strcspn(from + len + 1, ".}"), from + len + 1);
	else
		(void)snprintf(kind, PATTERN_MAX, "id");
	*rest = to;
	return true;
}

void
operation_put_path(struct json_w *w, const char *pattern)
{
	char text[PATTERN_MAX];
	size_t n = 0;
	bool is_kind = false;

	for (const char *p = pattern; *p != '\0' && n + 1 < sizeof(text); p++) {
		if (*p == '}')
			is_kind = false;
		if (*p == ':' || strncmp(p, "...}", 4) == 0)
			is_kind = true;
		if (!is_kind)
			text[n++] = *p;
	}
	text[n] = '\0';
	json_w_key(w, text);
}

/* --- parameters --- */

static void
put_param(struct json_w *w, const char *in, const char *name, bool is_required)
{
	json_w_open(w, '{');
	json_w_kv(w, "in", in);
	json_w_kv(w, "name", name);
	if (is_required)
		json_w_kv_bool(w, "required", true);
	json_w_key(w, "schema");
}

static void
put_query(struct json_w *w, const struct field *fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		put_param(w, "query", fields[i].name,
		    (fields[i].flags & FIELD_REQUIRED) != 0);
		schema_put_field(w, &fields[i]);
		json_w_close(w, '}');
	}
}

static void
put_params(struct json_w *w, const struct described *d)
{
	const char *rest = d->route->pattern;
	char name[PATTERN_MAX], kind[PATTERN_MAX];

	json_w_key(w, "parameters");
	json_w_open(w, '[');
	while (next_param(&rest, name, kind)) {
		put_param(w, "path", name, true);
		json_w_raw(w, route_kind_schema(kind));
		json_w_close(w, '}');
	}
	put_query(w, d->shape.query, d->shape.nquery);
	if (d->shape.answer == SHAPE_PAGE)
		put_query(w, shape_page_query, shape_page_nquery);
	if (d->shape.has_tag) {
		put_param(w, "header", "If-None-Match", false);
		json_w_raw(w, "{\"type\":\"string\"}");
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
}

/* Whoever puts the schema closes both. */
static void
put_content(struct json_w *w, const char *type)
{
	json_w_key(w, "content");
	json_w_open(w, '{');
	json_w_key(w, type);
	json_w_open(w, '{');
	json_w_key(w, "schema");
}

static void
put_body(struct json_w *w, const struct described *d)
{
	bool is_create = strcmp(d->route->method, "PUT") != 0;
	bool is_whole =
	    is_create || (d->shape.noun != NULL && d->shape.noun->replaces);

	if (d->rules.body == ROUTE_NO_BODY || !d->shape.has_body)
		return;
	json_w_key(w, "requestBody");
	json_w_open(w, '{');
	json_w_kv_bool(w, "required", !d->shape.may_be_empty);
	put_content(w, "application/json");
	schema_put_body(w, d->shape.body, is_create, is_whole);
	json_w_close(w, '}');
	json_w_close(w, '}');
	json_w_close(w, '}');
}

/* --- answers --- */

static void
put_row(struct json_w *w, const struct shape *s)
{
	if (s->noun != NULL)
		schema_put_answer(w,
		    (const struct shape_table[]){{s->noun->fields,
						     s->noun->nfields, NULL},
			s->more_fields},
		    2);
	else
		schema_put_answer(w,
		    (const struct shape_table[]){s->fields, s->more_fields},
		    s->answer == SHAPE_ROWS ? 1 : 2);
}

static void
put_array(struct json_w *w, const struct shape *s)
{
	json_w_open(w, '{');
	json_w_kv(w, "type", "array");
	json_w_key(w, "items");
	put_row(w, s);
	json_w_close(w, '}');
}

static void
put_list(struct json_w *w, const struct shape *s, const char *member)
{
	json_w_open(w, '{');
	json_w_kv(w, "type", "object");
	json_w_key(w, "required");
	json_w_open(w, '[');
	json_w_str(w, member);
	json_w_close(w, ']');
	json_w_key(w, "properties");
	json_w_open(w, '{');
	json_w_key(w, member);
	put_array(w, s);
	if (s->answer == SHAPE_ROWS)
		schema_put_members(w, &s->more_fields);
	if (s->answer == SHAPE_PAGE)
		for (const char *const *name = (const char *const[]){"total",
			 "page", "per_page", "page_size", NULL};
		     *name != NULL; name++)
			json_w_kv_raw(w, *name, "{\"type\":\"integer\"}");
	if (s->answer == SHAPE_PAGE) {
		json_w_kv_raw(w, "next_cursor", "{\"type\":\"string\"}");
		json_w_kv_raw(w, "total_is_estimate", "{\"type\":\"boolean\"}");
	}
	json_w_close(w, '}');
	json_w_close(w, '}');
}

static void
put_answer_schema(struct json_w *w, const struct shape *s)
{
	switch (s->answer) {
	case SHAPE_PAGE:
		put_list(w, s, "data");
		break;
	case SHAPE_ROWS:
		put_list(w, s, s->member != NULL ? s->member : "data");
		break;
	case SHAPE_ARRAY:
		put_array(w, s);
		break;
	case SHAPE_STATUS:
		json_w_raw(w,
		    "{\"type\":\"object\",\"required\":[\"status\"],"
		    "\"properties\":{\"status\":{\"type\":\"string\"}}}");
		break;
	case SHAPE_BYTES:
		json_w_raw(w, "{}");
		break;
	default:
		put_row(w, s);
		break;
	}
}

/* One status of success; what nobody described may be any. */
static void
put_success(struct json_w *w, const struct described *d, const char *status)
{
	const struct shape *s = &d->shape;

	json_w_key(w, status);
	json_w_open(w, '{');
	json_w_kv(w, "description", "It was done.");
	if (s->has_tag)
		json_w_kv_raw(w, "headers",
		    "{\"ETag\":{\"schema\":{\"type\":\"string\"}}}");
	if (d->is_known && s->answer != SHAPE_NOTHING &&
	    strcmp(d->route->method, "HEAD") != 0) {
		put_content(w, s->content_type != NULL ? s->content_type
						       : "application/json");
		put_answer_schema(w, s);
		json_w_close(w, '}');
		if (s->or_content_type != NULL)
			json_w_kv_raw(w, s->or_content_type, "{\"schema\":{}}");
		json_w_close(w, '}');
	}
	json_w_close(w, '}');
}

static void
put_successes(struct json_w *w, const struct described *d)
{
	const struct shape *s = &d->shape;
	int first = s->answer == SHAPE_NOTHING ? 204 : 200;
	char status[16] = "2XX";

	if (s->status != 0)
		first = s->status;
	if (d->is_known)
		(void)snprintf(status, sizeof(status), "%d", first);
	put_success(w, d, status);
	if (s->other_status != 0) {
		(void)snprintf(status, sizeof(status), "%d", s->other_status);
		put_success(w, d, status);
	}
	if (s->may_be_nothing)
		json_w_kv_raw(w, "204",
		    "{\"description\":\"There was nothing to do.\"}");
}

static void
put_responses(struct json_w *w, const struct described *d)
{
	json_w_key(w, "responses");
	json_w_open(w, '{');
	put_successes(w, d);
	if (d->shape.has_tag)
		json_w_kv_raw(w, "304",
		    "{\"description\":\"The client has it already.\"}");
	if (d->rules.rate == ROUTE_RATED)
		json_w_kv_raw(w, "429",
		    "{\"$ref\":\"#/components/responses/RateLimited\"}");
	json_w_kv_raw(w, "default",
	    "{\"$ref\":\"#/components/responses/Error\"}");
	json_w_close(w, '}');
}

/* --- the whole --- */

static void
put_id(struct json_w *w, const struct route *route)
{
	char id[PATTERN_MAX];
	size_t n = 0;

	for (const char *p = route->method; *p != '\0'; p++)
		id[n++] = (char)tolower((unsigned char)*p);
	for (const char *p = route->pattern; *p != '\0' && n + 2 < sizeof(id);
	     p++) {
		if (isalnum((unsigned char)*p))
			id[n++] = *p;
		else if (n > 0 && id[n - 1] != '_')
			id[n++] = '_';
	}
	id[n] = '\0';
	json_w_kv(w, "operationId", id);
}

static void
put_policy(struct json_w *w, const struct route *route)
{
	const char *audit = route->audit != NULL ? route->audit : "";

	json_w_kv_opt(w, "x-permission", route->permission);
	json_w_kv_opt(w, "x-also", route->also);
	json_w_kv_opt(w, "x-audit", audit);
}

static void
put_one(struct json_w *w, const struct route_area *area,
    const struct route *route)
{
	struct described d;
	char method[16];
	size_t n = 0;

	describe(&d, area, route);
	for (; route->method[n] != '\0' && n + 1 < sizeof(method); n++)
		method[n] = (char)tolower((unsigned char)route->method[n]);
	method[n] = '\0';
	json_w_key(w, method);
	json_w_open(w, '{');
	put_id(w, route);
	json_w_kv_opt(w, "summary", d.shape.does);
	json_w_key(w, "tags");
	json_w_open(w, '[');
	json_w_str(w, area->name);
	json_w_close(w, ']');
	json_w_kv_raw(w, "security",
	    d.rules.access == ROUTE_PUBLIC ? "[]" : "[{\"key\":[]}]");
	json_w_kv(w, "x-access", rules_access_name(d.rules.access));
	json_w_kv(w, "x-rate-class",
	    d.rules.rate == ROUTE_RATED ? "rated" : "unrated");
	put_policy(w, route);
	put_params(w, &d);
	put_body(w, &d);
	put_responses(w, &d);
	json_w_close(w, '}');
}

void
operation_put(struct json_w *w, const struct route_area *area,
    const struct route *route)
{
	struct route_rules rules = route_resolve(area, route);
	struct route head = *route;

	put_one(w, area, route);
	if (!route_has_head(route, &rules))
		return;
	head.method = "HEAD";
	head.own.body = ROUTE_NO_BODY;
	put_one(w, area, &head);
}
