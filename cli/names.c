#include "cli/names.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/out.h"
#include "common/json/json.h"

enum {
	TEXT_MAX = 512,
	UNKNOWN_MAX = 100, /* more of them are no names but mistakes */
};

bool
names_may_help(const struct cli *c, const struct answer *a)
{
	const struct cJSON *data;

	switch (a->status) {
	case 400:
	case 404:
	case 409:
	case 422:
		return true;
	case 200: /* a list by an owner whose name was given is empty */
		data = a->json ? json_get(a->json, "data") : NULL;
		return args_command(c)->flags & COMMAND_PAGED &&
		       cJSON_IsArray(data) && cJSON_GetArraySize(data) == 0;
	default:
		return false;
	}
}

/* Whether an object of the list has that name, and its id; or the word as its
 * id, which is no name then. */
static bool
has_name(const struct cJSON *item, const char *name, const char **out_id)
{
	const char *text;

	if (json_str(item, "id", TEXT_MAX, out_id) != RC_OK)
		return false;
	return json_str(item, "name", TEXT_MAX, &text) == RC_OK &&
	       strcmp(text, name) == 0;
}

static int
change_name(struct cli *c, const char *noun, const char **value)
{
	const struct command *list = args_sibling(c, noun, "list");
	const char *id = NULL, *found = NULL, *all = "", *name = *value;
	const struct cJSON *item;
	struct answer a;
	size_t n = 0;

	if (!list || !command_option(list, "--query", 7))
		return EXIT_DONE;
	a = client_call(c, "GET",
	    arena_printf(c->arena, "%s?q=%s&per_page=500", list->path,
		client_escape(c, name)),
	    NULL);
	if (a.status != 200 || !a.json)
		return EXIT_DONE; /* what was refused at first is told */
	cJSON_ArrayForEach(item, json_get(a.json, "data"))
	{
		if (!has_name(item, name, &id)) {
			if (id && strcmp(id, name) == 0)
				return EXIT_DONE;
			continue;
		}
		if (strcmp(id, name) == 0)
			return EXIT_DONE;
		all = arena_printf(c->arena, "%s%s%s", all, n > 0 ? ", " : "",
		    out_harmless(c->arena, id));
		found = id;
		n++;
	}
	if (n > 1) {
		out_error("\"%s\" is the name of %zu %s: give the id, one of "
			  "%s",
		    name, n, noun, all);
		return EXIT_USAGE;
	}
	if (n == 1)
		*value = found;
	return EXIT_DONE;
}

struct changing {
	bool has_changed;
	bool asks_first;             /* whether it is an id */
	const char *but;             /* this noun's ids stay; or NULL */
	const struct cJSON *unknown; /* these certificates alone; or NULL */
	size_t left;                 /* how many may be looked for */
};

/* Whether the server takes it for an id: others it refuses unread. */
static bool
may_be_id(const char *word)
{
	return word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRS"
				 "TUVWXYZ0123456789._:-")] == '\0';
}

static bool
is_id(struct cli *c, const char *noun, const char *word)
{
	const struct command *get = args_sibling(c, noun, "get");
	const char *hole = get && get->path ? strstr(get->path, "{}") : NULL;
	struct answer a;

	if (!hole)
		return false;
	a = client_call(c, "GET",
	    arena_printf(c->arena, "%.*s%s%s", (int)(hole - get->path),
		get->path, client_escape(c, word), hole + 2),
	    NULL);
	return a.status == 200;
}

/* Of texts, or of objects that say what is wrong with a certificate. */
static bool
is_among(const struct cJSON *list, const char *word)
{
	const struct cJSON *item;
	const char *text;

	cJSON_ArrayForEach(item, list)
	{
		if (cJSON_IsString(item))
			text = item->valuestring;
		else if (json_str(item, "certificate_id", TEXT_MAX, &text) !=
			 RC_OK)
			continue;
		if (strcmp(text, word) == 0)
			return true;
	}
	return false;
}

static int
change(struct cli *c, const char *noun, const char **value, void *arg)
{
	struct changing *ch = arg;
	const char *before = *value;
	int exit_code;

	if (ch->but && strcmp(ch->but, noun) == 0 && may_be_id(before))
		return EXIT_DONE;
	if (ch->unknown &&
	    (strcmp(noun, "certs") != 0 || !is_among(ch->unknown, before)))
		return EXIT_DONE;
	if (ch->left == 0 ||
	    (ch->asks_first && may_be_id(before) && is_id(c, noun, before)))
		return EXIT_DONE;
	ch->left--;
	exit_code = change_name(c, noun, value);
	if (*value != before)
		ch->has_changed = true;
	return exit_code;
}

int
names_to_ids(struct cli *c, bool *out_changed)
{
	struct changing ch = {.left = SIZE_MAX};
	int exit_code = args_change_ids(c, change, &ch);

	*out_changed = ch.has_changed;
	return exit_code;
}

int
names_after(struct cli *c, const struct answer *a, bool *out_again)
{
	*out_again = false;
	return names_may_help(c, a) ? names_to_ids(c, out_again) : EXIT_DONE;
}

int
names_before(struct cli *c, const char *but)
{
	struct changing ch = {.asks_first = true, .but = but, .left = SIZE_MAX};

	return args_change_ids(c, change, &ch);
}

int
names_of_unknown(struct cli *c, const struct cJSON *unknown, bool *out_changed)
{
	struct changing ch = {.unknown = unknown, .left = UNKNOWN_MAX};
	int exit_code = args_change_ids(c, change, &ch);

	*out_changed = ch.has_changed;
	return exit_code;
}
