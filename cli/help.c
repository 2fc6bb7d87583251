#include "cli/help.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/command.h"
#include "cli/fold.h"
#include "cli/listing_keys.h"
#include "cli/out.h"
#include "cli/term.h"
#include "common/base/attr.h"
#include "common/base/enc.h"

enum { WIDTH_MIN = 40, NAMES_MAX = 30 };

/* --- folding --- */

struct page {
	struct arena *arena;
	size_t width;
};

/* As fold_text, and the line's end. */
static void
fold(const struct page *p, size_t at, size_t indent, const char *text)
{
	out_print("%s\n", fold_text(p->arena, p->width, at, indent, text));
}

/* A name and what it is, the names' column as wide as the widest that is not
 * too wide. */
static void
entry(const struct page *p, size_t names, const char *name, const char *what)
{
	size_t n = strlen(name);

	out_print("  %s", name);
	if (n > names) {
		out_print("\n%*s", (int)(names + 4), "");
		n = names;
	} else {
		out_print("%*s", (int)(names - n + 2), "");
	}
	fold(p, names + 4, names + 4, what);
}

static size_t
wider(size_t names, const char *name)
{
	size_t n = strlen(name);

	return n > names && n <= NAMES_MAX ? n : names;
}

/* --- options --- */

static const char *
option_name(const struct page *p, const struct option *o)
{
	return arena_printf(p->arena, "%s%s%s%s%s", o->brief ? o->brief : "",
	    o->brief ? ", " : "", o->flag, o->takes ? " " : "",
	    o->takes ? command_takes(o) : "");
}

/* The words that the usage does not have stand here. */
static const char *
option_text(const struct page *p, const struct option *o)
{
	const char *text = o->help, *words = "";

	if (o->takes && command_takes(o) != o->takes) {
		for (const char *at = o->takes; *at; at += *at == '|') {
			size_t n = strcspn(at, "|");

			words = arena_printf(p->arena, "%s%s%.*s", words,
			    words[0] ? ", " : ": ", (int)n, at);
			at += n;
		}
	}
	return arena_printf(p->arena, "%s%s%s", text,
	    o->is_required ? "; required" : "", words);
}

/* Of the row, or of such a list. */
static const struct option *
next(const struct command *m, const struct option *only, size_t *at)
{
	if (!only)
		return command_next(m, at, false);
	return only[*at].flag ? &only[(*at)++] : NULL;
}

static void
show_options(const struct page *p, const char *head, const struct command *m,
    const struct option *only)
{
	const struct option *o;
	size_t names = 0, n = 0;

	for (size_t at = 0; (o = next(m, only, &at)) != NULL; n++)
		names = wider(names, option_name(p, o));
	if (n == 0)
		return;
	out_print("\n%s:\n", head);
	for (size_t at = 0; (o = next(m, only, &at)) != NULL;)
		entry(p, names, option_name(p, o), option_text(p, o));
}

/* --- levels --- */

static void
show_exit_codes(const struct page *p)
{
	out_print("\n");
	fold(p, 0, 12,
	    "exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 not "
	    "allowed, 5 conflict, 6 unreachable or out of time");
}

/* What people come for, by the commands that it takes: no noun says it. */
static const struct noun tasks[] = {
    {"first certificate",
	"certctl agents create, targets create, certs create, certs renew "
	"--wait"},
    {"new key", "of a certificate: certctl certs renew; of a person or "
		"program: certctl api-keys rotate"},
    {"another CA",
	"certctl issuers create, replace --plan; a root's successor: certctl "
	"issuers succeed, issuers switch"},
    {"another worker", "start certctl-worker there; certctl status lists it: "
		       "docs/operator/workers.md"},
    {"backup, restore", "docs/operator/runbooks/postgres-backup.md; then "
			"certctl recover"},
    {"something wrong", "certctl status, explain, doctor"},
};

static void
show_tasks(const struct page *p)
{
	size_t names = 0;

	out_print("\nwhat is done most, step by step in docs/README.md:\n");
	for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
		names = wider(names, tasks[i].name);
	for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
		entry(p, names, tasks[i].name, tasks[i].help);
}

static void
show_all(const struct page *p)
{
	size_t names = 0;

	out_print("certctl - certificates that issue, renew and deploy "
		  "themselves\n\nusage: certctl NOUN VERB [WORDS] [OPTIONS]\n"
		  "\n");
	for (size_t i = 0; i < nnouns; i++)
		names = wider(names, nouns[i].name);
	for (size_t i = 0; i < nnouns; i++)
		entry(p, names, nouns[i].name, nouns[i].help);
	show_tasks(p);
	out_print("\n");
	fold(p, 0, 0,
	    "certctl NOUN --help shows its verbs, certctl NOUN VERB --help all "
	    "that one takes. certctl completion bash|zsh|fish completes "
	    "them. -- ends the options: what stands behind it are words, "
	    "even one that begins with -.");
	show_options(p, "options of every command", NULL, command_options);
	show_exit_codes(p);
}

/* The keys of --filter, or the fields of --sort. */
static void
show_keys(const struct page *p, const struct command *m, bool is_sort)
{
	const char *last =
	    is_sort ? "; with --all also: " : "; with --all or --limit also: ";
	const char *text = is_sort ? "--sort: " : "--filter: ", *name, *between;
	bool is_here, was_here = false;

	for (size_t i = 0;
	     (name = listing_key(p->arena, m, is_sort, i, &is_here)); i++) {
		between = i == 0 ? "" : ", ";
		if (is_here && !was_here && m->flags & COMMAND_PAGED)
			between = i == 0 ? last + 2 : last;
		text = arena_printf(p->arena, "%s%s%s", text, between, name);
		was_here = is_here;
	}
	fold(p, 0, 4, text);
}

static void
show_command(const struct page *p, const struct command *m)
{
	const char *name = arena_printf(p->arena, "certctl %s%s%s", m->noun,
	    m->verb ? " " : "", m->verb ? m->verb : "");

	out_print("%s - ", name);
	fold(p, strlen(name) + 3, 4, m->help);
	out_print("\nusage: ");
	fold(p, 7, 11,
	    arena_printf(p->arena, "%s %s", name, command_usage(p->arena, m)));
	show_options(p, "options", m, NULL);
	show_options(p, "options of every command", NULL, command_options);
	if (m->flags & COMMAND_LIST) {
		out_print("\n");
		show_keys(p, m, false);
		show_keys(p, m, true);
	}
	if (m->method && m->path && !(m->flags & COMMAND_OFFLINE))
		out_print("\nIt is %s %s of the API.\n", m->method, m->path);
	if (m->asks)
		out_print("\nIt asks before it does it; --yes answers.\n");
}

static bool
has_verbs(const char *noun)
{
	for (size_t i = 0; i < ncommands; i++) {
		if (commands[i].verb && strcmp(commands[i].noun, noun) == 0 &&
		    !(commands[i].flags & COMMAND_HIDDEN))
			return true;
	}
	return false;
}

static void
show_verbs(const struct page *p, const char *noun)
{
	size_t names = 0;

	for (int is_told = 0; is_told < 2; is_told++) {
		for (size_t i = 0; i < ncommands; i++) {
			const struct command *m = &commands[i];
			const char *name;

			if (strcmp(m->noun, noun) != 0 || !m->verb ||
			    m->flags & COMMAND_HIDDEN)
				continue;
			name = arena_printf(p->arena, "%s%s%s", m->verb,
			    m->words[0] ? " " : "", m->words);
			if (is_told)
				entry(p, names, name, m->help);
			else
				names = wider(names, name);
		}
	}
	out_print("\ncertctl %s VERB --help shows all that one takes.\n", noun);
}

static void
show_noun(const struct page *p, const char *noun)
{
	const struct command *alone =
	    command_find(commands, ncommands, noun, NULL);

	if (alone) {
		show_command(p, alone);
		if (!has_verbs(noun))
			return;
		out_print("\nIt has verbs too:\n\n");
	} else {
		for (size_t i = 0; i < nnouns; i++) {
			if (strcmp(nouns[i].name, noun) == 0)
				out_print("certctl %s - %s\n\n", noun,
				    nouns[i].help);
		}
		out_print("usage: certctl %s VERB [WORDS] [OPTIONS]\n\n", noun);
	}
	show_verbs(p, noun);
}

/* --- which --- */

static bool
is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

bool
help_wanted(struct arena *a, int argc, char **argv)
{
	const struct page p = {a, term_width(WIDTH_MIN)};
	const char *words[2] = {NULL, NULL};
	bool is_wanted = argc == 0 || strcmp(argv[0], "help") == 0;
	const struct command *m;
	size_t n = 0;

	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (is_help(argv[i]))
			is_wanted = true;
		else if (argv[i][0] != '-' && n < 2 &&
			 !(i == 0 && strcmp(argv[i], "help") == 0))
			words[n++] = argv[i];
	}
	if (!is_wanted)
		return false;
	m = n == 2 ? command_find(commands, ncommands, words[0], words[1])
		   : NULL;
	if (m)
		show_command(&p, m);
	else if (n == 0)
		show_all(&p);
	else if (command_is_noun(commands, ncommands, words[0]) &&
		 (n == 1 || !has_verbs(words[0])))
		show_noun(&p, words[0]);
	else
		return false; /* the parser says that there is none */
	return true;
}
