#include "apiserver/resources/shape.h"

#include <string.h>

#include "apiserver/resources/page.h"

const struct field shape_page_query[] = {
    {"page", FIELD_INT, 0, 1, PAGE_NUMBER_MAX, "1"},
    {"per_page", FIELD_INT, 0, 1, PAGE_SIZE_MAX, "50"},
    {"page_size", FIELD_INT, 0, 1, PAGE_SIZE_MAX},
    {"cursor", FIELD_TEXT},
};
const size_t shape_page_nquery = ARRAY_LEN(shape_page_query);

size_t
shape_table_n(const struct shape_table *t)
{
	return t->other_n != NULL ? *t->other_n : t->n;
}

static bool
names(const struct field *fields, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(fields[i].name, name) == 0)
			return true;
	}
	return false;
}

bool
shape_has_query(const struct shape *shape, const char *name)
{
	return names(shape->query, shape->nquery, name) ||
	       (shape->answer == SHAPE_PAGE &&
		   names(shape_page_query, shape_page_nquery, name));
}
