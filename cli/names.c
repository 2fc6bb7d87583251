#include "cli/names.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/out.h"
#include "common/json/json.h"

enum { TEXT_MAX = 512 };

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

static int
change(struct cli *c, const char *noun, const char **value, void *arg)
{
	const char *before = *value;
	int exit_code = change_name(c, noun, value);

	if (*value != before)
		*(bool *)arg = true;
	return exit_code;
}

int
names_to_ids(struct cli *c, bool *out_changed)
{
	*out_changed = false;
	return args_change_ids(c, change, out_changed);
}
