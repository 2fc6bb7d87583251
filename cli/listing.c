#include "cli/listing.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/near.h"
#include "cli/out.h"
#include "common/json/json.h"

const struct option listing_options[] = {
    {"--filter", "KEY=VALUE",
	"those of which that is so; may be given again, and then all must be",
	OPTION_OWN, .is_many = true},
    {"--sort", "FIELD", "in that order, FIELD:desc backwards", OPTION_OWN},
    {NULL},
};

bool
listing_is_filter(const struct option *o)
{
	return o == &listing_options[0];
}

bool
listing_is_sort(const struct option *o)
{
	return o == &listing_options[1];
}

/* --- what there is --- */

/* Whether both are the same name: created_at, created-at and createdAt are. */
static bool
is_name(const char *name, const char *key, size_t n)
{
	const char *end = key + n;

	for (;; name++, key++) {
		while (*name == '_' || *name == '-')
			name++;
		while (key < end && (*key == '_' || *key == '-'))
			key++;
		if (*name == '\0' || key == end)
			return *name == '\0' && key == end;
		if (tolower((unsigned char)*name) !=
		    tolower((unsigned char)*key))
			return false;
	}
}

static bool
is_filter_option(const struct option *o)
{
	return o->form != OPTION_OWN && o->takes;
}

const struct option *
listing_option(const struct command *m, const char *key, size_t n)
{
	const struct option *const lists[] = {m->options, m->options2};

	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		for (const struct option *o = lists[l]; o && o->flag; o++) {
			if (is_filter_option(o) &&
			    (is_name(o->flag, key, n) ||
				(o->member && is_name(o->member, key, n))))
				return o;
		}
	}
	return NULL;
}

static const struct column *
column_of(const struct command *m, const char *key, size_t n)
{
	for (const struct column *k = m->columns; k && k->head; k++) {
		if (is_name(k->member, key, n))
			return k;
	}
	return NULL;
}

/* A word of the API's sorts, as it stands there; NULL: none of them. */
static const char *
sort_of(struct arena *a, const struct command *m, const char *key, size_t n)
{
	for (const char *p = m->sorts ? m->sorts : ""; *p; p += *p == '|') {
		const char *word = arena_strndup(a, p, strcspn(p, "|"));

		if (is_name(word, key, n))
			return word;
		p += strlen(word);
	}
	return NULL;
}

/* Whether the server is asked for it. */
static bool
is_asked(struct arena *a, const struct command *m, bool is_sort,
    const char *member)
{
	return is_sort ? sort_of(a, m, member, strlen(member)) != NULL
		       : listing_option(m, member, strlen(member)) != NULL;
}

/* The ith column that the server is not asked for, each member once. */
static const char *
column_key(struct arena *a, const struct command *m, bool is_sort, size_t i)
{
	for (const struct column *k = m->columns; k && k->head; k++) {
		if (!is_asked(a, m, is_sort, k->member) &&
		    column_of(m, k->member, strlen(k->member)) == k && i-- == 0)
			return k->member;
	}
	return NULL;
}

/* The ith option that filters, by the name of its flag. */
static const char *
option_key(struct arena *a, const struct command *m, size_t i, size_t *out_n)
{
	const struct option *const lists[] = {m->options, m->options2};

	*out_n = 0;
	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		for (const struct option *o = lists[l]; o && o->flag; o++) {
			char *name;

			if (!is_filter_option(o) || (*out_n)++ != i)
				continue;
			name = arena_strdup(a, o->flag + 2);
			for (char *p = name; *p; p++)
				*p = *p == '-' ? '_' : *p;
			return name;
		}
	}
	return NULL;
}

static const char *
sort_key(struct arena *a, const struct command *m, size_t i, size_t *out_n)
{
	*out_n = 0;
	for (const char *p = m->sorts ? m->sorts : ""; *p; p += *p == '|') {
		size_t n = strcspn(p, "|");

		if ((*out_n)++ == i)
			return arena_strndup(a, p, n);
		p += n;
	}
	return NULL;
}

const char *
listing_key(struct arena *a, const struct command *m, bool is_sort, size_t i,
    bool *out_is_here)
{
	size_t n;
	const char *key =
	    is_sort ? sort_key(a, m, i, &n) : option_key(a, m, i, &n);

	*out_is_here = key == NULL;
	return key ? key : column_key(a, m, is_sort, i - n);
}

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
	out->asked = sort_of(c->arena, m, text, n);
	column = column_of(m, text, n);
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
		out_tell("it has: %s", asked);
	if (here[0])
		out_tell("%s%s",
		    m->flags & COMMAND_PAGED
			? (is_sort ? "with --all also: "
				   : "with --all or --limit "
				     "also: ")
			: "it has: ",
		    here);
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
		if (!column_of(m, key, n))
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
			json_get(row, column_of(m, given, n)->member),
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

static int
compare_values(const struct place *x, const struct place *y)
{
	if (x->text[0] == '\0' || y->text[0] == '\0')
		return (x->text[0] == '\0') - (y->text[0] == '\0');
	if (cJSON_IsNumber(x->value) && cJSON_IsNumber(y->value))
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
