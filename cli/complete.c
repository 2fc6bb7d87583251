#include "cli/complete.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <curl/curl.h>

#include "cli/args.h"
#include "cli/command.h"
#include "cli/listing_keys.h"
#include "cli/out.h"
#include "common/json/json.h"

enum { CALL_SECONDS = 2, TEXT_MAX = 256 };

struct completing {
	struct cli *cli;
	const char *before; /* of the same word: "--status=", "status=" */
	const char *begun;
	const char *noun;
	const struct command *row;
	const char *first; /* word of the command; NULL: none yet */
	size_t words;      /* of the command, before the cursor */
	bool is_help;      /* "help" stands before: of what, is completed */
	bool are_words;    /* behind -- */
};

/* A candidate, where it goes on from what is begun. */
static void
offer(const struct completing *p, const char *word, const char *what)
{
	if (strncmp(word, p->begun, strlen(p->begun)) != 0 || word[0] == '\0' ||
	    strchr(word, ' '))
		return;
	out_print("%s%s%s%s\n", p->before, word, what[0] ? " " : "", what);
}

static void
offer_nouns(const struct completing *p)
{
	for (size_t i = 0; i < nnouns; i++)
		offer(p, nouns[i].name, nouns[i].help);
	if (!p->is_help)
		offer(p, "help", "what there is");
}

static void
offer_verbs(const struct completing *p)
{
	for (size_t i = 0; i < ncommands; i++) {
		const struct command *m = &commands[i];

		if (m->verb && strcmp(m->noun, p->noun) == 0 &&
		    !(m->flags & COMMAND_HIDDEN))
			offer(p, m->verb, m->help);
	}
}

static void
offer_options(const struct completing *p)
{
	const struct option *o;

	for (size_t at = 0; (o = command_next(p->row, &at, true)) != NULL;)
		offer(p, o->flag, o->help);
	offer(p, "--help", "what it takes");
}

/* --- ids --- */

static const char *
text_of(struct cli *c, const struct cJSON *item, const char *name)
{
	const char *text = "";

	IGNORE_RESULT(json_str(item, name, TEXT_MAX, &text));
	return out_harmless(c->arena, text);
}

/* The column of a list that stands for its id. */
static const char *
id_member(const struct command *list)
{
	for (size_t i = 0; list->columns && list->columns[i].head; i++) {
		if (strcmp(list->columns[i].head, "ID") == 0 ||
		    strcmp(list->columns[i].head, "DUTY") == 0)
			return list->columns[i].member;
	}
	return "id";
}

static void
offer_ids(const struct completing *p, const char *noun)
{
	const struct command *list =
	    command_find(commands, ncommands, noun, "list");
	const struct cJSON *item, *rows;
	struct answer a;

	if (!list)
		list = command_find(commands, ncommands, noun, NULL);
	if (!list || !list->path || strstr(list->path, "{}"))
		return;
	a = client_call(p->cli, "GET",
	    list->flags & COMMAND_PAGED
		? arena_printf(p->cli->arena, "%s?per_page=500", list->path)
		: arena_strdup(p->cli->arena, list->path),
	    NULL);
	if (a.status != 200 || !a.json)
		return;
	rows = cJSON_IsArray(a.json)
		   ? a.json
		   : json_get(a.json, list->rows ? list->rows : "data");
	cJSON_ArrayForEach(item, rows)
	    offer(p, text_of(p->cli, item, id_member(list)),
		text_of(p->cli, item, "name"));
}

/* --- values --- */

static void
offer_value(const struct completing *p, const char *takes)
{
	struct arena *a = p->cli->arena;
	const char *noun;
	size_t n;

	if (strchr(takes, '|')) {
		for (const char *at = takes; *at; at += *at == '|') {
			n = strcspn(at, "|");
			offer(p, arena_strndup(a, at, n), "");
			at += n;
		}
		return;
	}
	noun = command_noun_of(takes, strcspn(takes, " .],"),
	    p->row ? p->row->noun : NULL);
	if (noun)
		offer_ids(p, noun);
}

/* The word up to its n bytes stands, and what is behind them is begun. */
static void
begin_behind(struct completing *p, size_t n)
{
	p->before =
	    arena_printf(p->cli->arena, "%s%.*s", p->before, (int)n, p->begun);
	p->begun += n;
}

/* "status=Active": keys first, then what that one takes. */
static void
offer_filter(struct completing *p)
{
	size_t n = strcspn(p->begun, "=");
	const struct option *o = listing_option(p->row, p->begun, n);
	bool is_here, has_key = p->begun[n] == '=';
	const char *key;

	if (has_key)
		begin_behind(p, n + 1);
	if (has_key && o)
		offer_value(p, o->takes);
	for (size_t i = 0; !has_key && (key = listing_key(p->cli->arena, p->row,
					    false, i, &is_here)) != NULL;
	     i++)
		offer(p, arena_printf(p->cli->arena, "%s=", key), "");
}

static void
offer_sort(const struct completing *p)
{
	struct arena *a = p->cli->arena;
	const char *key;
	bool is_here;

	for (size_t i = 0; (key = listing_key(a, p->row, true, i, &is_here));
	     i++) {
		offer(p, key, "");
		offer(p, arena_printf(a, "%s:desc", key), "backwards");
	}
}

/* "tgt-1,tgt-2": the last of them is begun. */
static void
offer_of_list(struct completing *p, const char *takes)
{
	const char *comma = strrchr(p->begun, ',');

	if (comma)
		begin_behind(p, (size_t)(comma + 1 - p->begun));
	offer_value(p, takes);
}

static void
offer_option_value(struct completing *p, const struct option *o)
{
	if (listing_is_filter(o))
		offer_filter(p);
	else if (listing_is_sort(o))
		offer_sort(p);
	else if (o->form == OPTION_TEXTS)
		offer_of_list(p, o->takes);
	else
		offer_value(p, o->takes);
}

/* Whose ids an ID is: the command's own, or those of the kind that the word
 * before it says ("explain certificate ID"). */
static const char *
own_noun(const struct completing *p)
{
	static const char *const kinds[][2] = {{"certificate", "certs"},
	    {"job", "jobs"}, {"target", "targets"}};

	for (size_t i = 0; p->first && i < ARRAY_LEN(kinds); i++) {
		if (strcmp(p->row->noun, "explain") == 0 &&
		    strcmp(kinds[i][0], p->first) == 0)
			return kinds[i][1];
	}
	return p->row->noun;
}

static void
offer_word(const struct completing *p)
{
	const char *noun, *word;
	size_t n;

	word = command_word(p->row, p->words, &n);
	noun = word ? command_noun_of(word, n, own_noun(p)) : NULL;
	if (noun)
		offer_ids(p, noun);
	else if (word && memchr(word, '|', n))
		offer_value(p, arena_strndup(p->cli->arena, word, n));
}

/* --- what is before the cursor --- */

/* As the shell would give it: what a line holds is quoted still. */
static const char *
unquoted(struct arena *a, const char *text)
{
	const char *home = getenv("HOME");
	size_t n = strlen(text);

	if (n >= 2 && (text[0] == '"' || text[0] == '\'') &&
	    text[n - 1] == text[0])
		return arena_strndup(a, text + 1, n - 2);
	if (strncmp(text, "~/", 2) == 0 && home)
		return arena_printf(a, "%s%s", home, text + 1);
	return text;
}

/* Which server is asked, and how, is as the line says; value: NULL of a
 * flag. */
static void
take_setting(struct cli *c, const struct option *o, const char *value)
{
	static const char *const names[] = {"--context", "--server",
	    "--api-key", "--ca-bundle", "--insecure"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(o->flag, names[i]) == 0 && !args_has(c, o->flag))
			args_add(c, o,
			    value ? unquoted(c->arena, value) : NULL);
	}
}

/* The option that a word is; NULL: it is none, or has all it takes. */
static const struct option *
read_option(struct completing *p, const char *word)
{
	size_t n = strcspn(word, "=");
	const struct option *o = command_option(p->row, word, n);

	if (!o || (o->takes && word[n] != '='))
		return o;
	take_setting(p->cli, o, o->takes ? word + n + 1 : NULL);
	return NULL;
}

/* The option whose value is begun, or NULL. */
static const struct option *
read_words(struct completing *p, int argc, char **argv)
{
	const struct option *o = NULL;

	for (int i = 0; i < argc; i++) {
		const char *word = argv[i];

		if (o) { /* its value */
			take_setting(p->cli, o, word);
			o = NULL;
		} else if (!p->are_words && strcmp(word, "--") == 0) {
			p->are_words = true;
		} else if (!p->are_words && word[0] == '-') {
			o = read_option(p, word);
		} else if (!p->noun && !p->is_help &&
			   strcmp(word, "help") == 0) {
			p->is_help = true;
		} else if (!p->noun) {
			p->noun = word;
			p->row = command_find(commands, ncommands, word, NULL);
		} else if (p->words == 0 &&
			   command_find(commands, ncommands, p->noun, word) &&
			   (!p->row || !p->row->verb)) {
			p->row =
			    command_find(commands, ncommands, p->noun, word);
		} else {
			if (p->words++ == 0)
				p->first = word;
		}
	}
	return o;
}

int
complete_run(struct cli *c, int argc, char **argv,
    bool (*settings)(struct cli *c))
{
	struct completing p = {.cli = c,
	    .before = "",
	    .begun = argc > 0 ? argv[argc - 1] : ""};
	const struct option *o;
	size_t n = strcspn(p.begun, "=");

	args_none(c);
	o = read_words(&p, argc > 0 ? argc - 1 : 0, argv);
	if (!o && !p.are_words && p.begun[0] == '-' && p.begun[n] == '=') {
		o = command_option(p.row, p.begun, n);
		if (!o || !o->takes)
			return EXIT_DONE;
		begin_behind(&p, n + 1);
	}

	if (!settings(c) || curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return EXIT_DONE;
	c->call_seconds = CALL_SECONDS;
	if (o) {
		offer_option_value(&p, o);
	} else if (!p.are_words && p.begun[0] == '-') {
		offer_options(&p);
	} else if (!p.noun) {
		offer_nouns(&p);
	} else {
		if (!p.row || !p.row->verb)
			offer_verbs(&p);
		if (p.row && !p.is_help)
			offer_word(&p);
	}
	client_end();
	curl_global_cleanup();
	return EXIT_DONE;
}
