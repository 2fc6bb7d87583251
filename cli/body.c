#include "cli/body.h"

#include <assert.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/body_input.h"
#include "cli/body_members.h"
#include "cli/body_set.h"
#include "cli/body_value.h"
#include "cli/out.h"
#include "common/json/json.h"

struct body {
	struct cli *cli;
	const struct command *row;
	struct cJSON *root;
	const struct cJSON *base;
};

/* --- members --- */

static void
put(struct cJSON *object, const char *name, struct cJSON *item)
{
	cJSON_DeleteItemFromObjectCaseSensitive(object, name);
	cJSON_AddItemToObject(object, name, item);
}

/* Objects that the path leads into are made, or begin as they are now. */
static void
put_at(struct body *b, const struct body_path *path, struct cJSON *item)
{
	const struct cJSON *now = b->base;
	struct cJSON *at = b->root, *in;
	const char *name;

	for (size_t i = 0; i + 1 < path->n; i++) {
		name = path->names[i];
		now = now ? json_get_exact(now, name) : NULL;
		in = cJSON_GetObjectItemCaseSensitive(at, name);
		if (!cJSON_IsObject(in)) {
			in = cJSON_IsObject(now) ? cJSON_Duplicate(now, true)
						 : cJSON_CreateObject();
			put(at, name, in);
		}
		at = in;
	}
	put(at, path->names[path->n - 1], item);
}

static void
put_member(struct body *b, const struct option *o, struct cJSON *item)
{
	struct arena *a = b->cli->arena;
	struct body_path path = {0};
	const char *why = body_path_read(a, command_member(a, o), &path);

	assert(!why); /* of our own table */
	put_at(b, &path, item);
}

static int
put_options(struct body *b)
{
	const struct option *o;
	const struct cJSON *base = b->base;
	struct cJSON *item;

	b->base = NULL; /* an option with dots sets the whole object */
	for (size_t at = 0; (o = command_next(b->row, &at, false)) != NULL;) {
		const char *text = o->dflt;

		if (o->form == OPTION_OWN || o->is_query)
			continue;
		if (args_has(b->cli, o->flag))
			text = o->takes ? args_value(b->cli, o->flag) : "";
		if (!text)
			continue;
		item = body_value_given(b->cli, o, text);
		if (!item)
			return EXIT_USAGE;
		put_member(b, o, item);
	}
	b->base = base;
	return EXIT_DONE;
}

/* --- --file and --set --- */

static int
put_file(struct body *b, const char *path)
{
	struct cJSON *json = NULL;

	if (body_input(b->cli, path, &json) != EXIT_DONE)
		return EXIT_USAGE;
	cJSON_Delete(b->root);
	b->root = cJSON_Duplicate(json, true); /* the other is the arena's */
	return body_members_take_file(b->cli, path, b->root);
}

/* The option that sets this member, whose form it has then. */
static const struct option *
option_of(struct body *b, const char *member)
{
	const struct option *o;

	for (size_t at = 0; (o = command_next(b->row, &at, false)) != NULL;) {
		if (o->form != OPTION_OWN && o->takes && !o->is_query &&
		    strcmp(command_member(b->cli->arena, o), member) == 0)
			return o;
	}
	return NULL;
}

static int
put_set(struct body *b, const char *given)
{
	struct body_set set;
	struct cJSON *item;
	const char *why;
	int exit_code = body_set_read(b->cli, given, &set);

	if (exit_code != EXIT_DONE)
		return exit_code;
	if (set.is_json) {
		item = body_value_json(b->cli, set.value, &why);
		if (!item)
			out_error("--set %s:= takes JSON: %s", set.key, why);
	} else {
		item = body_value_set(b->cli, option_of(b, set.key), set.value);
	}
	if (!item)
		return EXIT_USAGE;
	put_at(b, &set.path, item);
	return EXIT_DONE;
}

bool
body_needs_base(const struct cli *c)
{
	const char *given;

	for (size_t at = 0; (given = args_next(c, "--set", &at)) != NULL;) {
		if (body_set_is_deep(given))
			return true;
	}
	return false;
}

/* --- all of it --- */

static bool
has_body(const struct command *m)
{
	const struct option *o;

	if (strcmp(m->method, "GET") == 0 || strcmp(m->method, "DELETE") == 0)
		return false;
	if (m->flags & COMMAND_BODY || m->last_word)
		return true;
	for (size_t at = 0; (o = command_next(m, &at, false)) != NULL;) {
		if (o->form != OPTION_OWN && !o->is_query)
			return true;
	}
	return false;
}

static int
fill(struct body *b)
{
	struct cli *c = b->cli;
	int exit_code = EXIT_DONE;
	const char *given;

	if (b->row->flags & COMMAND_BODY && args_has(c, "--file"))
		exit_code = put_file(b, args_value(c, "--file"));
	if (exit_code == EXIT_DONE)
		exit_code = put_options(b);
	if (args_body_word(c))
		put(b->root, b->row->last_word,
		    cJSON_CreateString(args_body_word(c)));
	for (size_t at = 0; exit_code == EXIT_DONE &&
			    (given = args_next(c, "--set", &at)) != NULL;)
		exit_code = put_set(b, given);
	if (exit_code == EXIT_DONE)
		exit_code = body_members_check_word(c, b->root);
	if (exit_code == EXIT_DONE && strcmp(b->row->method, "PUT") == 0 &&
	    b->row->flags & COMMAND_BODY && !b->root->child) {
		out_error("nothing is to be changed: give an option, --set or "
			  "--file");
		exit_code = args_refuse(c);
	}
	return exit_code;
}

int
body_make(struct cli *c, const struct cJSON *base, const char *ids,
    const char **out)
{
	struct body b = {.cli = c, .row = args_command(c), .base = base};
	int exit_code;
	char *text;

	*out = NULL;
	if (!has_body(b.row))
		return EXIT_DONE;
	b.root = cJSON_CreateObject();
	exit_code = fill(&b);
	if (ids)
		put(b.root, "certificate_ids", cJSON_CreateRaw(ids));
	if (exit_code == EXIT_DONE) {
		text = cJSON_PrintUnformatted(b.root);
		*out = arena_strdup(c->arena, text);
		cJSON_free(text);
	}
	cJSON_Delete(b.root);
	return exit_code;
}
