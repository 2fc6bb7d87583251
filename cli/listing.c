#include "cli/listing.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/listing_keys.h"
#include "cli/near.h"
#include "cli/out.h"
#include "cli/talk.h"
#include "common/json/json.h"

/* --- what was asked for --- */

struct order {
	const char *field; /* as it was given, without its direction */
	const char *asked; /* the server's word for it; NULL: it is done here */
	const char *member; /* of the rows; NULL: this list has no such */
	bool is_odd;        /* neither :asc nor :desc */
	bool is_desc;
};

/* "createdAt" as rows have it. */
static const char *
snake(struct arena *a, const char *word)
{
	char *out = arena_alloc(a, 2 * strlen(word) + 1), *p = out;

	for (; *word; word++) {
		if (isupper((unsigned char)*word))
			*p++ = '_';
		*p++ = (char)tolower((unsigned char)*word);
	}
	*p = '\0';
	return out;
}

/* false: no --sort was given. */
static bool
read_order(const struct cli *c, struct order *out)
{
	const struct command *m = args_command(c);
	const char *text =
	    m->flags & COMMAND_LIST ? args_value(c, "--sort") : NULL;
	const struct column *column;
	const char *colon;
	size_t n;

	*out = (struct order){.field = NULL};
	if (!text)
		return false;
	n = strcspn(text, ":");
	colon = text[n] ? text + n + 1 : "asc";
	out->field = arena_strndup(c->arena, text, n);
	out->is_desc = strcmp(colon, "desc") == 0;
	out->is_odd = !out->is_desc && strcmp(colon, "asc") != 0;
	out->asked = listing_sort_word(c->arena, m, text, n);
	column = listing_column(m, text, n);
	if (column)
		out->member = column->member;
	else if (out->asked)
		out->member = snake(c->arena, out->asked);
	/* All rows in an order of theirs: they come by a cursor, which is of
	 * another. */
	if (args_has(c, "--all"))
		out->asked = NULL;
	return true;
}

/* --- checks --- */

/* What it has, and what may have been meant. */
static int
refuse_key(struct cli *c, bool is_sort, const char *key)
{
	const struct command *m = args_command(c);
	struct near near = {.word = key};
	const char *asked = "", *here = "", *name;
	bool is_here;

	for (size_t i = 0;
	     (name = listing_key(c->arena, m, is_sort, i, &is_here)); i++) {
		const char **list = is_here ? &here : &asked;

		near_look(&near, name);
		*list = arena_printf(c->arena, "%s%s%s", *list,
		    (*list)[0] ? ", " : "", name);
	}
	out_error("this list has no \"%s\" to %s by%s", key,
	    is_sort ? "sort" : "filter", near_ask(c->arena, &near, ""));
	if (asked[0])
		talk_folded(c->arena, 4,
		    arena_printf(c->arena, "it has: %s", asked));
	if (here[0])
		talk_folded(c->arena, 4,
		    arena_printf(c->arena, "%s%s",
			m->flags & COMMAND_PAGED
			    ? (is_sort ? "with --all also: "
				       : "with --all or --limit also: ")
			    : "it has: ",
			here));
	return args_refuse(c);
}

static int
check_filters(struct cli *c)
{
	const struct command *m = args_command(c);
	const char *given, *key;

	for (size_t at = 0; (given = args_next(c, "--filter", &at)) != NULL;) {
		size_t n = strcspn(given, "=");

		key = arena_strndup(c->arena, given, n);
		if (!listing_column(m, key, n))
			return refuse_key(c, false, key);
		if (!(m->flags & COMMAND_PAGED) || args_has(c, "--all") ||
		    args_has(c, "--limit"))
			continue;
		out_error("the server cannot filter by \"%s\": it is looked "
			  "at here, in all rows: add --all, or --limit N for "
			  "the first N of which it is so",
		    key);
		return args_refuse(c);
	}
	return EXIT_DONE;
}

int
listing_check(struct cli *c)
{
	const struct command *m = args_command(c);
	struct order order;
	int exit_code;

	if (!(m->flags & COMMAND_LIST))
		return EXIT_DONE;
	exit_code = check_filters(c);
	if (exit_code != EXIT_DONE || !read_order(c, &order))
		return exit_code;
	if (!order.member)
		return refuse_key(c, true, order.field);
	if (order.is_odd) {
		out_error("--sort takes FIELD, FIELD:asc or FIELD:desc");
		return args_refuse(c);
	}
	if (order.asked || !(m->flags & COMMAND_PAGED) || args_has(c, "--all"))
		return EXIT_DONE;
	out_error("the server cannot sort by \"%s\": it is done here, of all "
		  "rows: %s --all",
	    order.field,
	    args_has(c, "--limit") ? "in the place of --limit give" : "add");
	return args_refuse(c);
}

/* --- use --- */

const char *
listing_path(struct cli *c, const char *path)
{
	struct order order;

	if (!read_order(c, &order) || !order.asked)
		return path;
	return arena_printf(c->arena, "%s%csort=%s%s", path,
	    strchr(path, '?') ? '&' : '?', order.is_desc ? "-" : "",
	    client_escape(c, order.asked));
}

bool
listing_is_here(const struct cli *c)
{
	struct order order;

	return args_has(c, "--filter") ||
	       (read_order(c, &order) && !order.asked);
}

/* "" of what is absent, as of a time that is none. */
static const char *
text_of(struct arena *a, const struct cJSON *value)
{
	if (!value || cJSON_IsNull(value))
		return "";
	if (!cJSON_IsString(value))
		return json_text(a, value);
	return strcmp(value->valuestring, "0001-01-01T00:00:00Z") == 0
		   ? ""
		   : value->valuestring;
}

/* One of a list is enough. */
static bool
is_value(struct arena *a, const struct cJSON *value, const char *wanted)
{
	const struct cJSON *item;

	if (!cJSON_IsArray(value))
		return strcmp(text_of(a, value), wanted) == 0;
	if (!value->child)
		return wanted[0] == '\0';
	cJSON_ArrayForEach(item, value)
	{
		if (strcmp(text_of(a, item), wanted) == 0)
			return true;
	}
	return false;
}

bool
listing_takes(struct cli *c, const struct cJSON *row)
{
	const struct command *m = args_command(c);
	const char *given;

	for (size_t at = 0; (given = args_next(c, "--filter", &at)) != NULL;) {
		size_t n = strcspn(given, "=");

		if (!is_value(c->arena,
			json_get(row, listing_column(m, given, n)->member),
			given + n + 1))
			return false;
	}
	return true;
}

/* --- order --- */

struct place {
	struct cJSON *row;
	const struct cJSON *value;
	const char *text;
	size_t at;
	bool is_desc;
};

/* Fractions of a second stand before the Z or do not: without it longer is
 * later. */
static const char *
sortable(struct arena *a, const struct cJSON *value)
{
	const char *text = text_of(a, value);
	size_t n = strlen(text);

	if (n >= 20 && text[4] == '-' && text[10] == 'T' && text[n - 1] == 'Z')
		return arena_strndup(a, text, n - 1);
	return text;
}

/* Numbers, texts, what is absent: any mixture has one order. */
static int
compare_values(const struct place *x, const struct place *y)
{
	bool is_number = cJSON_IsNumber(x->value);

	if (x->text[0] == '\0' || y->text[0] == '\0')
		return (x->text[0] == '\0') - (y->text[0] == '\0');
	if (is_number != cJSON_IsNumber(y->value))
		return is_number ? -1 : 1;
	if (is_number)
		return (x->value->valuedouble > y->value->valuedouble) -
		       (x->value->valuedouble < y->value->valuedouble);
	return strcmp(x->text, y->text);
}

static int
compare(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int order = compare_values(x, y);

	if (order == 0)
		return x->at < y->at ? -1 : 1;
	return x->is_desc ? -order : order;
}

void
listing_sort(struct cli *c, struct cJSON *rows)
{
	size_t n = (size_t)cJSON_GetArraySize(rows), i = 0;
	struct place *places;
	struct order order;
	struct cJSON *row;

	if (!read_order(c, &order) || order.asked || n == 0)
		return;
	places = arena_alloc(c->arena, n * sizeof(*places));
	cJSON_ArrayForEach(row, rows)
	{
		const struct cJSON *value = json_get(row, order.member);

		places[i] = (struct place){row, value,
		    sortable(c->arena, value), i, order.is_desc};
		i++;
	}
	qsort(places, n, sizeof(*places), compare);
	for (i = 0; i < n; i++)
		cJSON_AddItemToArray(rows,
		    cJSON_DetachItemViaPointer(rows, places[i].row));
}
