/*
 * shape: what goes into a route and what comes out of it, for the document
 * that describes the API (apiserver/openapi).
 *
 * Bodies and answers are described by the very tables that read and write
 * them (field.h).  A handler that reads its body member by member names these
 * members in a table of its own; a test sends each of them as it must not be.
 * What a handler reads of the query without saying so here is told in the log
 * (request.c), and a test looks for that.
 *
 * A noun's rows need none: their descriptor says all (resource.h).
 */
#ifndef APISERVER_RESOURCES_SHAPE_H
#define APISERVER_RESOURCES_SHAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "apiserver/resources/field.h"
#include "common/base/attr.h"
#include "common/op/op.h"

struct resource;

/* A table of another file has its number of rows there. */
struct shape_table {
	const struct field *fields;
	size_t n;
	const size_t *other_n;
};

#define SHAPE_TABLE(table) \
	{ \
		(table), ARRAY_LEN(table), NULL \
	}
#define SHAPE_TABLE_OF(table, n) \
	{ \
		(table), 0, &(n) \
	}

enum shape_answer {
	SHAPE_OBJECT,  /* an object, of those members if there is a table */
	SHAPE_PAGE,    /* the envelope of page_reply; reads page_read's query */
	SHAPE_ROWS,    /* {member: [...]} */
	SHAPE_ARRAY,   /* the rows alone: [...] */
	SHAPE_STATUS,  /* {"status":"..."} */
	SHAPE_NOTHING, /* 204 */
	SHAPE_BYTES    /* content_type, and no JSON */
};

enum { SHAPE_TABLES_MAX = 4 };

struct shape {
	const char *does; /* a few words for people: "List the jobs" */
	const struct field *query;
	size_t nquery;
	bool has_body;
	bool may_be_empty; /* the body */
	struct shape_table body[SHAPE_TABLES_MAX];
	enum shape_answer answer;
	bool may_be_nothing; /* 204 too, where there was nothing to do */
	int status;          /* of success; 0: 200, and 204 for nothing */
	int other_status; /* the same answer, where it was done before; or 0 */
	const char *member; /* of SHAPE_ROWS; NULL: "data" */
	const char *content_type;
	const char *or_content_type; /* beside JSON, where it was asked for */
	struct shape_table fields;
	struct shape_table more_fields; /* beside them; of SHAPE_ROWS, beside
					 * the list */
	const struct resource *noun;    /* whose fields they are instead */
	bool has_tag;                   /* answers an ETag, and 304 to it */
};

/* The shape of the routes that start with this step. */
struct shape_row {
	const char *name;
	op_step *start;
	const struct shape *shape;
};

/* The query of every list in pages (page_read). */
extern const struct field shape_page_query[];
extern const size_t shape_page_nquery;

/* The rows of that table; 0 of none. */
size_t shape_table_n(const struct shape_table *t);
/* Whether the shape says that its handler reads this of the query. */
bool shape_has_query(const struct shape *shape, const char *name);

#endif
