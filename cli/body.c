#include "cli/body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/body_input.h"
#include "cli/out.h"
#include "common/base/file.h"
#include "common/json/json.h"

enum { FILE_MAX = 1 << 20 };

struct body {
	struct cli *cli;
	const struct command *row;
	struct cJSON *root;
	const struct cJSON *base;
};

/* --- values --- */

static struct cJSON *
list_of(const char *text, bool is_number)
{
	struct cJSON *list = cJSON_CreateArray();
	char *copy = strdup(text), *save = NULL;

	for (char *w = strtok_r(copy, ",", &save); w;
	     w = strtok_r(NULL, ",", &save))
		cJSON_AddItemToArray(list,
		    is_number ? cJSON_CreateRaw(w) : cJSON_CreateString(w));
	free(copy);
	return list;
}

static struct cJSON *
tags_of(struct cli *c, const char *flag, const char *text)
{
	struct cJSON *tags = cJSON_CreateObject();
	char *copy = arena_strdup(c->arena, text), *save = NULL, *value;

	for (char *w = strtok_r(copy, ",", &save); w;
	     w = strtok_r(NULL, ",", &save)) {
		value = strchr(w, '=');
		if (!value) {
			out_error("%s takes KEY=VALUE,KEY=VALUE, not \"%s\"",
			    flag, w);
			cJSON_Delete(tags);
			return NULL;
		}
		*value++ = '\0';
		cJSON_AddStringToObject(tags, w, value);
	}
	return tags;
}

/* What is JSON, to be kept by the caller, or NULL. */
static struct cJSON *
json_of(struct cli *c, const char *text, const char **why)
{
	const struct cJSON *json;
	rc ret;

	ret = json_parse(c->arena, text, strlen(text), &json, why);
	return ret == RC_OK ? cJSON_Duplicate(json, true) : NULL;
}

static struct cJSON *
file_of(struct cli *c, const char *flag, const char *path)
{
	char *text;
	rc ret = file_read(c->arena, path, FILE_MAX, &text, NULL);

	if (ret == RC_OK)
		return cJSON_CreateString(text);
	out_error("%s: %s can't be read: %s", flag, path,
	    ret == RC_TOO_LARGE ? "it is too large" : strerror(errno));
	return NULL;
}

static bool
is_whole_list(const char *text)
{
	return text[strspn(text, "0123456789,")] == '\0';
}

/* NULL, and told: it is none. */
static struct cJSON *
value_of(struct cli *c, const struct option *o, const char *text)
{
	struct cJSON *json;
	const char *why = "";

	if (!o->takes)
		return cJSON_CreateRaw(o->sends ? o->sends : "true");
	if (o->null && strcmp(text, o->null) == 0)
		return cJSON_CreateNull();
	switch (o->form) {
	case OPTION_TEXTS:
		return list_of(text, false);
	case OPTION_INTS:
		if (is_whole_list(text))
			return list_of(text, true);
		out_error("%s takes whole numbers, as in 1,2, not \"%s\"",
		    o->flag, text);
		return NULL;
	case OPTION_TAGS:
		return tags_of(c, o->flag, text);
	case OPTION_FILE:
		return file_of(c, o->flag, text);
	case OPTION_JSON:
		json = json_of(c, text, &why);
		if (!json)
			out_error("%s takes JSON: %s", o->flag, why);
		return json;
	case OPTION_PLAIN:
	case OPTION_OWN:
	default:
		break;
	}
	if (strncmp(o->takes, "true|false", 10) == 0)
		return cJSON_CreateBool(strcmp(text, "true") == 0);
	if (strstr(o->takes, ".."))
		return cJSON_CreateRaw(text);
	return cJSON_CreateString(text);
}

/* --- members --- */

static void
put(struct cJSON *object, const char *name, struct cJSON *item)
{
	cJSON_DeleteItemFromObjectCaseSensitive(object, name);
	cJSON_AddItemToObject(object, name, item);
}

/* At a path with dots; objects that it leads into are made, or begin as they
 * are now. */
static void
put_at(struct body *b, const char *path, struct cJSON *item)
{
	const struct cJSON *now = b->base;
	struct cJSON *at = b->root, *in;
	const char *name;

	for (size_t n; path[n = strcspn(path, ".")] == '.'; path += n + 1) {
		name = arena_strndup(b->cli->arena, path, n);
		now = now ? json_get_exact(now, name) : NULL;
		in = cJSON_GetObjectItemCaseSensitive(at, name);
		if (!cJSON_IsObject(in)) {
			in = cJSON_IsObject(now) ? cJSON_Duplicate(now, true)
						 : cJSON_CreateObject();
			put(at, name, in);
		}
		at = in;
	}
	put(at, path, item);
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
		item = value_of(b->cli, o, text);
		if (!item)
			return EXIT_USAGE;
		put_at(b, command_member(b->cli->arena, o), item);
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
	return EXIT_DONE;
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
	const char *value = strchr(given, '='), *key, *why;
	const struct option *o;
	struct cJSON *item;
	bool is_json;

	if (!value || value == given || given[0] == '.' || value[-1] == '.' ||
	    strstr(given, "..") == given) {
		out_error("--set takes KEY=VALUE, not \"%s\"", given);
		return EXIT_USAGE;
	}
	is_json = value[-1] == ':';
	key = arena_strndup(b->cli->arena, given,
	    (size_t)(value - given) - is_json);
	value++;
	o = option_of(b, key);
	item = json_of(b->cli, value, &why);
	if (is_json) {
		if (!item || key[0] == '\0') {
			out_error("--set %s:= takes JSON: %s", key,
			    item ? "there is no key" : why);
			cJSON_Delete(item);
			return EXIT_USAGE;
		}
		put_at(b, key, item);
		return EXIT_DONE;
	}
	if (!item && o && (o->form != OPTION_PLAIN || o->null)) {
		item = value_of(b->cli, o, value);
		if (!item)
			return EXIT_USAGE;
	}
	/* A text that looks like a number stays one where a text belongs. */
	if (o && o->form == OPTION_PLAIN && !strstr(o->takes, "..") &&
	    strncmp(o->takes, "true|false", 10) != 0 && item &&
	    !cJSON_IsNull(item) && !cJSON_IsString(item)) {
		cJSON_Delete(item);
		item = NULL;
	}
	put_at(b, key, item ? item : cJSON_CreateString(value));
	return EXIT_DONE;
}

bool
body_needs_base(const struct cli *c)
{
	const char *given;

	for (size_t at = 0; (given = args_next(c, "--set", &at)) != NULL;) {
		if (memchr(given, '.', strcspn(given, "=")))
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
	if (b->row->last_word)
		put(b->root, b->row->last_word,
		    cJSON_CreateString(args_word(c, args_count(c) - 1)));
	for (size_t at = 0; exit_code == EXIT_DONE &&
			    (given = args_next(c, "--set", &at)) != NULL;)
		exit_code = put_set(b, given);
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
