#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/db/db.h"

/* '-9223372036854775808' and a comma. */
enum { I64_TEXT = 21 };

static size_t
quoted_size(const char *item)
{
	size_t n = 2; /* the quotes */

	for (; *item; item++)
		n += (*item == '"' || *item == '\\') ? 2 : 1;
	return n;
}

static char *
put_quoted(char *to, const char *item)
{
	*to++ = '"';
	for (; *item; item++) {
		if (*item == '"' || *item == '\\')
			*to++ = '\\';
		*to++ = *item;
	}
	*to++ = '"';
	return to;
}

const char *
db_text_array(struct arena *a, const char *const *items, size_t n)
{
	size_t size = 3; /* braces and NUL */
	char *text, *to;

	for (size_t i = 0; i < n; i++)
		size += (items[i] ? quoted_size(items[i]) : 4) + 1;
	text = to = arena_alloc(a, size);
	*to++ = '{';
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			*to++ = ',';
		if (items[i]) {
			to = put_quoted(to, items[i]);
		} else {
			memcpy(to, "NULL", 4);
			to += 4;
		}
	}
	*to++ = '}';
	*to = '\0';
	return text;
}

const char *
db_i64_array(struct arena *a, const int64_t *items, size_t n)
{
	size_t size = n * I64_TEXT + 3, len = 0;
	char *text = arena_alloc(a, size);

	text[len++] = '{';
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, size - len, "%s%" PRId64,
		    i > 0 ? "," : "", items[i]);
	text[len++] = '}';
	text[len] = '\0';
	return text;
}
