#include "cli/names.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/out.h"
#include "common/json/json.h"

enum {
	TEXT_MAX = 512,
	CURSOR_MAX = 1024,
	UNKNOWN_MAX = 100, /* more of them are no names but mistakes */
	PAGES_MAX = 20,    /* of what has the word in its name */
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

static bool
has_names(const struct command *list)
{
	for (const struct column *k = list->columns; k && k->head; k++) {
		if (strcmp(k->member, "name") == 0)
			return true;
	}
	return false;
}

/* The list asked for what is called so: its --query, its --name, or all of one
 * that is no longer than an answer.  NULL: its objects have no names. */
static const char *
list_path(struct cli *c, const struct command *list, const char *name)
{
	const char *key = command_option(list, "--query", 7)  ? "q"
			  : command_option(list, "--name", 6) ? "name"
							      : NULL;

	if (key)
		return arena_printf(c->arena, "%s?%s=%s&per_page=500",
		    list->path, key, client_escape(c, name));
	return list->flags & COMMAND_PAGED || strchr(list->path, '{') ||
		       !has_names(list)
		   ? NULL
		   : list->path;
}

/* Objects of that name, and their ids. */
struct found {
	const char *id; /* the last one's */
	const char *all;
	size_t n;
	bool is_id;    /* the word is one's id, and no name then */
	bool is_known; /* the server answered with what it has */
};

/* Where the list goes on, or NULL. */
static const char *
look_in(struct cli *c, const char *path, const char *rows, const char *name,
    struct found *f)
{
	struct answer a = client_call(c, "GET", path, NULL);
	const char *next = NULL;
	const struct cJSON *item;

	if (a.status != 200 || !a.json)
		return NULL; /* what was refused at first is told */
	f->is_known = true;
	cJSON_ArrayForEach(item, json_get(a.json, rows))
	{
		const char *id = NULL;
		bool is_named = has_name(item, name, &id);

		if (id && strcmp(id, name) == 0)
			f->is_id = true;
		if (!is_named)
			continue;
		f->all = arena_printf(c->arena, "%s%s%s", f->all,
		    f->n > 0 ? ", " : "", out_harmless(c->arena, id));
		f->id = id;
		f->n++;
	}
	IGNORE_RESULT(json_str(a.json, "next_cursor", CURSOR_MAX, &next));
	return next && next[0] ? next : NULL;
}

/* Many may have the word in their names: it is looked for behind them too. */
static void
look_through(struct cli *c, const struct command *list, const char *path,
    const char *name, struct found *f)
{
	const char *rows = list->rows ? list->rows : "data";
	const char *next = "begin"; /* what is no cursor is the begin */

	if (!(list->flags & COMMAND_PAGED)) {
		IGNORE_RESULT(look_in(c, path, rows, name, f));
		return;
	}
	for (size_t i = 0; i < PAGES_MAX && next; i++)
		next = look_in(c,
		    arena_printf(c->arena, "%s&cursor=%s", path,
			client_escape(c, next)),
		    rows, name, f);
	f->is_known = f->is_known && !next;
}

/* Whether the server takes it for an id: others it refuses unread. */
static bool
may_be_id(const char *word)
{
	return word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRS"
				 "TUVWXYZ0123456789._:-")] == '\0';
}

/* Whether an object has it; so long as the server does not say that none has,
 * the word stands for no other. */
static bool
is_id(struct cli *c, const char *noun, const char *word)
{
	const struct command *get = args_sibling(c, noun, "get");
	const char *hole = get && get->path ? strstr(get->path, "{}") : NULL;
	struct answer a;

	if (!hole || !may_be_id(word))
		return false;
	a = client_call(c, "GET",
	    arena_printf(c->arena, "%.*s%s%s", (int)(hole - get->path),
		get->path, client_escape(c, word), hole + 2),
	    NULL);
	return a.status != 400 && a.status != 404;
}

/* is_no_id: the server has said that no object has it as its id. */
static void
find_name(struct cli *c, const char *noun, const char *name, bool is_no_id,
    struct found *f)
{
	const struct command *list = args_sibling(c, noun, "list");
	const char *path = list ? list_path(c, list, name) : NULL;

	*f = (struct found){.all = ""};
	if (!path)
		return;
	look_through(c, list, path, name, f);
	/* One that is no more is asked for by its name too. */
	if (f->n == 0 && strcmp(noun, "agents") == 0)
		IGNORE_RESULT(look_in(c,
		    arena_printf(c->arena, "/api/v1/agents/retired?name=%s",
			client_escape(c, name)),
		    "data", name, f));
	/* A refusal may be of the object with that id: another's name must not
	 * have the same done to that other one. */
	if (f->n > 0 && !f->is_id && !is_no_id)
		f->is_id = is_id(c, noun, name);
}

static int
take_name(const struct found *f, const char *noun, const char **value)
{
	if (f->is_id || f->n == 0)
		return EXIT_DONE;
	if (f->n > 1) {
		out_error("\"%s\" is the name of %zu %s: give the id, one of "
			  "%s",
		    *value, f->n, noun, f->all);
		return EXIT_USAGE;
	}
	*value = f->id;
	return EXIT_DONE;
}

static int
change_name(struct cli *c, const char *noun, const char **value, bool is_no_id)
{
	struct found f;

	find_name(c, noun, *value, is_no_id, &f);
	if (f.is_id || f.n > 0 || !f.is_known || may_be_id(*value))
		return take_name(&f, noun, value);
	/* It cannot be an id, as which the server would refuse it unread. */
	out_error("none of the %s has the name \"%s\"", noun, *value);
	return EXIT_NOT_FOUND;
}

/* What was looked up before in this run. */
struct known {
	const char *noun, *name, *id;
	struct known *next;
};

struct changing {
	struct known *known;
	bool has_changed;
	bool asks_first;             /* whether it is an id */
	const char *but;             /* this noun's ids stay; or NULL */
	const struct cJSON *unknown; /* these certificates alone; or NULL */
	size_t left;                 /* how many may be looked for */
};

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

static struct known *
find_known(const struct changing *ch, const char *noun, const char *name)
{
	struct known *k = ch->known;

	while (k && (strcmp(k->noun, noun) != 0 || strcmp(k->name, name) != 0))
		k = k->next;
	return k;
}

/* id: NULL, the name stands for no other. */
static void
remember(struct cli *c, struct changing *ch, const char *noun, const char *name,
    const char *id)
{
	struct known *k = arena_alloc(c->arena, sizeof(*k));

	*k = (struct known){noun, arena_strdup(c->arena, name), id, ch->known};
	ch->known = k;
}

/* Of one that was not looked up before. */
static int
change_unknown(struct cli *c, struct changing *ch, const char *noun,
    const char **value)
{
	const char *name = *value;
	int exit_code;

	if (ch->asks_first && is_id(c, noun, name)) {
		remember(c, ch, noun, name, NULL);
		return EXIT_DONE;
	}
	ch->left--;
	exit_code = change_name(c, noun, value, ch->asks_first || ch->unknown);
	remember(c, ch, noun, name, *value != name ? *value : NULL);
	if (*value != name)
		remember(c, ch, noun, *value, NULL);
	return exit_code;
}

static int
change(struct cli *c, const char *noun, const char **value, void *arg)
{
	struct changing *ch = arg;
	const char *before = *value;
	const struct known *k;
	int exit_code = EXIT_DONE;

	if (ch->but && strcmp(ch->but, noun) == 0 && may_be_id(before))
		return EXIT_DONE;
	if (ch->unknown &&
	    (strcmp(noun, "certs") != 0 || !is_among(ch->unknown, before)))
		return EXIT_DONE;
	k = find_known(ch, noun, before);
	if (k)
		*value = k->id ? k->id : before;
	else if (ch->left > 0)
		exit_code = change_unknown(c, ch, noun, value);
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

/* A text of the body that may be an id of that noun, or a list of such. */
static int
change_member(struct cli *c, const char *noun, struct cJSON *value,
    struct changing *ch)
{
	const char *text = cJSON_GetStringValue(value);
	int exit_code = EXIT_DONE;
	struct cJSON *item;

	if (text) {
		exit_code = change(c, noun, &text, ch);
		if (text != value->valuestring)
			cJSON_SetValuestring(value, text);
		return exit_code;
	}
	if (!cJSON_IsArray(value))
		return EXIT_DONE;
	cJSON_ArrayForEach(item, value)
	{
		if (exit_code == EXIT_DONE && cJSON_IsString(item))
			exit_code = change_member(c, noun, item, ch);
	}
	return exit_code;
}

static int
change_body(struct cli *c, const char **body, struct changing *ch)
{
	const struct command *m = args_command(c);
	struct cJSON *root = cJSON_Parse(*body);
	const struct option *o;
	int exit_code = EXIT_DONE;

	for (size_t at = 0; exit_code == EXIT_DONE &&
			    (o = command_next(m, &at, false)) != NULL;) {
		const char *noun =
		    o->form == OPTION_OWN || !o->takes
			? NULL
			: command_noun_of(o->takes, strcspn(o->takes, " .],"),
			      m->noun);

		if (noun)
			exit_code = change_member(c, noun,
			    cJSON_GetObjectItemCaseSensitive(root,
				command_member(c->arena, o)),
			    ch);
	}
	if (args_body_word(c)) /* which may be another by now */
		cJSON_ReplaceItemInObjectCaseSensitive(root, m->last_word,
		    cJSON_CreateString(args_body_word(c)));
	*body = json_text(c->arena, root);
	cJSON_Delete(root);
	return exit_code;
}

int
names_of_call(struct cli *c, const char **body, bool *out_changed)
{
	struct changing ch = {.left = UNKNOWN_MAX};
	int exit_code = args_change_ids(c, change, &ch);

	if (exit_code == EXIT_DONE && *body)
		exit_code = change_body(c, body, &ch);
	*out_changed = ch.has_changed;
	return exit_code;
}

int
names_before_call(struct cli *c, const char **body)
{
	struct changing ch = {.asks_first = true, .left = UNKNOWN_MAX};
	int exit_code = args_change_ids(c, change, &ch);

	if (exit_code == EXIT_DONE && *body)
		exit_code = change_body(c, body, &ch);
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

int
names_find(struct cli *c, const char *noun, const char **word)
{
	struct found f;

	find_name(c, noun, *word, true, &f);
	return take_name(&f, noun, word);
}

const char *
names_holder(struct cli *c, const char *noun, const char *name)
{
	struct found f;

	find_name(c, noun, name, true, &f);
	return f.n > 0 ? f.id : NULL;
}
