/*
 * Rows: a page as it comes, or page after page as one answer; what the server
 * does not filter or sort by is looked at here.
 */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/call.h"
#include "cli/listing.h"
#include "cli/names.h"
#include "cli/out.h"
#include "cli/watch.h"
#include "common/base/attr.h"
#include "common/json/json.h"

enum { CURSOR_MAX = 1024, PAGE_MAX = 500 };

static size_t
columns_of(const struct command *m)
{
	size_t n = 0;

	while (m->columns && m->columns[n].head)
		n++;
	return n;
}

static void
delete_json(void *arg)
{
	cJSON_Delete(arg);
}

static void
free_arena(void *arg)
{
	arena_free(arg);
}

/* What was made here, as an answer; json is freed with the arena. */
static struct answer
answer_of(struct cli *c, struct cJSON *json)
{
	char *text = cJSON_PrintUnformatted(json);
	struct answer a = {.status = 200, .json = json};

	a.text = arena_strdup(c->arena, text);
	cJSON_free(text);
	arena_defer(c->arena, delete_json, json);
	return a;
}

/* --- page after page --- */

struct walk {
	struct cJSON *rows;
	size_t most;
	size_t page; /* 0: by the cursor */
	size_t size; /* rows of a page */
	const char *cursor;
	struct cJSON *total; /* as the server says; NULL: it does not */
	bool is_estimate;    /* that is one */
	bool is_whole;       /* there are no rows but those */
	bool is_lost; /* where it goes on is not said, or not further on */
};

/* RC_OK: the list goes on there; RC_NOT_FOUND: this was its end. */
static rc
read_next(const struct cJSON *page, const char **out)
{
	rc ret = json_str(page, "next_cursor", CURSOR_MAX, out);

	return ret == RC_OK && (*out)[0] == '\0' ? RC_NOT_FOUND : ret;
}

/* How many there are, as the first page says it. */
static void
keep_total(const struct cJSON *page, struct walk *w)
{
	const struct cJSON *total = json_get(page, "total");

	if (w->total || !cJSON_IsNumber(total))
		return;
	w->total = cJSON_Duplicate(total, true);
	w->is_estimate = cJSON_IsTrue(json_get(page, "total_is_estimate"));
}

/* Whether the list goes on behind that page. */
static bool
goes_on(struct cli *c, const struct answer *a, const struct cJSON *data,
    struct walk *w)
{
	const char *next;
	rc ret;

	if (w->page > 0) {
		w->page++;
		return (size_t)cJSON_GetArraySize(data) == w->size;
	}
	ret = read_next(a->json, &next);
	if (ret == RC_NOT_FOUND)
		return false;
	w->is_lost = ret != RC_OK || strcmp(next, w->cursor) == 0;
	if (!w->is_lost)
		w->cursor = arena_strdup(c->arena, next);
	return true;
}

/* The rows of one page; whether there may be more that are wanted. */
static bool
add_rows(struct cli *c, const struct answer *a, const struct cJSON *data,
    struct walk *w)
{
	size_t n = (size_t)cJSON_GetArraySize(w->rows);
	struct cJSON *item;

	keep_total(a->json, w);
	cJSON_ArrayForEach(item, data)
	{
		if (n == w->most)
			return false;
		if (!listing_takes(c, item))
			continue;
		cJSON_AddItemToArray(w->rows, cJSON_Duplicate(item, true));
		n++;
	}
	w->is_whole = !goes_on(c, a, data, w);
	if (n == w->most)
		w->is_lost = false; /* nobody wants to know where */
	return n < w->most && !w->is_whole && !w->is_lost;
}

/* Those of the server where rows are left; how many of them would pass a
 * filter of ours is not known. */
static void
put_total(struct cli *c, struct walk *w, struct cJSON *all)
{
	if (w->is_whole) {
		cJSON_AddNumberToObject(all, "total",
		    cJSON_GetArraySize(w->rows));
	} else if (w->total && !listing_is_here(c)) {
		cJSON_AddItemToObject(all, "total", w->total);
		w->total = NULL;
		if (w->is_estimate)
			cJSON_AddTrueToObject(all, "total_is_estimate");
	}
	cJSON_Delete(w->total);
}

static const char *
page_path(struct cli *c, const char *path, const struct walk *w)
{
	path = call_query(c, path, "per_page",
	    arena_printf(c->arena, "%zu", w->size));
	return w->page > 0 ? call_query(c, path, "page",
				 arena_printf(c->arena, "%zu", w->page))
			   : call_query(c, path, "cursor", w->cursor);
}

/* Page after page, as one answer; that of the server where the first page is
 * refused. */
static int
collect(struct cli *c, const char *path, size_t most, bool is_by_page,
    struct answer *out)
{
	struct cJSON *all = cJSON_CreateObject();
	struct walk w = {.rows = cJSON_AddArrayToObject(all, "data"),
	    .most = most,
	    .page = is_by_page,
	    .size = most < PAGE_MAX && !listing_is_here(c) ? most : PAGE_MAX,
	    .cursor = "begin"}; /* what is no cursor is the begin */
	const struct cJSON *data;
	struct arena *held = NULL;
	bool has_more = true;
	int exit_code = EXIT_DONE;

	while (has_more && exit_code == EXIT_DONE) {
		*out = client_look(c, page_path(c, path, &w), &held);
		if (out->status != 200 && !w.rows->child) {
			arena_defer(c->arena, free_arena, held);
			cJSON_Delete(all);
			return EXIT_DONE;
		}
		exit_code = client_check_list(c, out, NULL, &data);
		if (exit_code == EXIT_DONE)
			has_more = add_rows(c, out, data, &w);
	}
	if (w.is_lost) {
		out_error("%s does not say where its list goes on: what came "
			  "is not all of it, and is not shown",
		    c->server);
		exit_code = EXIT_FAILED;
	}
	arena_free(held);
	put_total(c, &w, all);
	if (exit_code != EXIT_DONE) {
		cJSON_Delete(all);
		return exit_code;
	}
	listing_sort(c, w.rows);
	*out = answer_of(c, all);
	return EXIT_DONE;
}

/* --- one answer --- */

/* The rows of one answer that holds them all, those that pass, in order. */
static int
choose(struct cli *c, struct answer *a)
{
	const char *name = args_command(c)->rows;
	struct cJSON *all, *rows, *item, *next;
	const char *more;

	if (a->status != 200 || !a->json || !listing_is_here(c))
		return EXIT_DONE;
	all = cJSON_Duplicate(a->json, true);
	rows = cJSON_IsArray(all) ? all
				  : cJSON_GetObjectItemCaseSensitive(all,
					name ? name : "data");
	if (read_next(all, &more) != RC_NOT_FOUND) {
		cJSON_Delete(all);
		out_error("the list is longer than an answer, so it cannot be "
			  "filtered or sorted here");
		return EXIT_FAILED;
	}
	for (item = rows ? rows->child : NULL; item; item = next) {
		next = item->next;
		if (!listing_takes(c, item))
			cJSON_Delete(cJSON_DetachItemViaPointer(rows, item));
	}
	if (rows)
		listing_sort(c, rows);
	if (rows && cJSON_GetObjectItemCaseSensitive(all, "total"))
		cJSON_SetNumberValue(cJSON_GetObjectItemCaseSensitive(all,
					 "total"),
		    cJSON_GetArraySize(rows));
	*a = answer_of(c, all);
	return EXIT_DONE;
}

/* Whether --page or its like stands beside --limit or its like. */
static int
check_pages(struct cli *c)
{
	bool is_all = args_has(c, "--all"), is_limit = args_has(c, "--limit");
	bool is_page = args_has(c, "--page") || args_has(c, "--per-page");

	if ((is_all || is_limit) + is_page < 2 && !(is_all && is_limit))
		return EXIT_DONE;
	out_error("--page and --per-page are one page, --limit and --all are "
		  "rows of all: give one of these");
	return args_refuse(c);
}

static int
list_once(struct cli *c, const char *path, struct answer *out)
{
	const struct command *m = args_command(c);
	const char *limit = NULL, *sorted;

	path = call_path(c, path);
	sorted = listing_path(c, path);
	if (m->flags & COMMAND_PAGED && args_has(c, "--limit"))
		limit = args_value(c, "--limit");
	if (limit || (m->flags & COMMAND_PAGED && args_has(c, "--all")))
		return collect(c, sorted,
		    limit ? strtoul(limit, NULL, 10) : SIZE_MAX, sorted != path,
		    out);
	*out = client_call(c, "GET", sorted, NULL);
	return choose(c, out);
}

/* --- shown --- */

static int
show_page(struct cli *c, const struct answer *a)
{
	const struct command *m = args_command(c);

	return show_list(c, a, m->rows, m->columns, columns_of(m));
}

int
call_list(struct cli *c, const char *path)
{
	const struct command *m = args_command(c);
	struct answer a = {.status = 0};
	bool has_ids = false;
	int exit_code = m->flags & COMMAND_PAGED ? check_pages(c) : EXIT_DONE;

	if (exit_code == EXIT_DONE)
		exit_code = watch_check(c);
	if (exit_code == EXIT_DONE)
		exit_code = list_once(c, path, &a);
	if (exit_code == EXIT_DONE && names_may_help(c, &a)) {
		exit_code = names_to_ids(c, &has_ids);
		if (exit_code == EXIT_DONE && has_ids)
			exit_code = list_once(c, path, &a);
	}
	if (exit_code == EXIT_DONE)
		exit_code = show_page(c, &a);
	return exit_code == EXIT_DONE && watch_is_wanted(c)
		   ? watch_go_on(c,
			 &(struct watched){.path = path,
			     .look = list_once,
			     .show = show_page},
			 &a)
		   : exit_code;
}

int
call_list_show(struct cli *c, struct answer *a)
{
	int exit_code = choose(c, a);

	return exit_code == EXIT_DONE ? show_page(c, a) : exit_code;
}
