#include "cli/args.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/out.h"
#include "cli/usage.h"
#include "common/base/enc.h"
#include "common/base/plain.h"

/* What every command takes as well. */
static const char args_global[] =
    "[-o json|table] [--format json|table] [--server URL] [--api-key KEY] "
    "[--ca-bundle FILE] [--insecure]";

struct given {
	const char *name; /* as the usage has it, NUL-terminated */
	const char *value;
};

struct args {
	const struct command *command;
	struct given *options;
	size_t noptions;
	const char **words;
	size_t nwords;
};

static int
usage_error(const struct args *a)
{
	const struct command *m = a->command;

	if (m)
		out_tell("usage: certctl %s%s%s%s%s", m->noun,
		    m->verb ? " " : "", m->verb ? m->verb : "",
		    m->arguments[0] ? " " : "", m->arguments);
	out_tell("see certctl help");
	return EXIT_USAGE;
}

static const struct command *
find(const struct command *all, size_t n, const char *noun, const char *verb)
{
	for (size_t i = 0; i < n; i++) {
		const struct command *m = &all[i];

		if (strcmp(m->noun, noun) == 0 &&
		    (verb ? m->verb && strcmp(m->verb, verb) == 0 : !m->verb))
			return m;
	}
	return NULL;
}

struct parse {
	struct cli *cli;
	const struct command *all;
	size_t n;
	const char *noun; /* before the command is known */
	struct args *args;
};

static int
no_command(const struct parse *p, const char *verb)
{
	out_error("there is no command \"%s%s%s\"", p->noun ? p->noun : "",
	    verb ? " " : "", verb ? verb : "");
	return usage_error(p->args);
}

/* Some become a line of a request, and none means to hold what nobody sees. */
static const char not_plain[] =
    "holds a control character, one that can't be seen, or bytes that are no "
    "UTF-8";

/* Whether it would be taken for one more id where its dashes are missing. */
static bool
is_option_without_dashes(struct parse *p, const char *word)
{
	const char *usage = p->args->command->arguments, *value;
	const char *option = arena_printf(p->cli->arena, "--%s", word);
	size_t min, max;

	usage_words(usage, &min, &max);
	return max == SIZE_MAX && usage_option(usage, option, strlen(option),
				      &value) != USAGE_UNKNOWN;
}

static int
take_word(struct parse *p, const char *word)
{
	struct args *a = p->args;

	if (!plain_is_line(word)) {
		out_error("\"%s\" %s", word, not_plain);
		return usage_error(a);
	}
	if (!p->noun) {
		p->noun = word;
		return EXIT_DONE;
	}
	if (!a->command) {
		a->command = find(p->all, p->n, p->noun, word);
		if (a->command)
			return EXIT_DONE;
		a->command = find(p->all, p->n, p->noun, NULL);
		if (!a->command)
			return no_command(p, word);
	}
	/* These would name a list, or something above it. */
	if (word[0] == '\0' || strcmp(word, ".") == 0 ||
	    strcmp(word, "..") == 0) {
		out_error("\"%s\" cannot be an id", word);
		return usage_error(a);
	}
	if (is_option_without_dashes(p, word)) {
		out_error("\"%s\" is no id here; the option is --%s", word,
		    word);
		return usage_error(a);
	}
	a->words[a->nwords++] = word;
	return EXIT_DONE;
}

static int
bad_option(const struct parse *p, const char *word, const char *what)
{
	out_error("\"%s\" %s", word, what);
	return usage_error(p->args);
}

static enum usage_form
form_of(const struct args *a, const char *word, size_t n,
    const char **out_value)
{
	enum usage_form form = usage_option(args_global, word, n, out_value);

	if (form != USAGE_UNKNOWN || !a->command)
		return form;
	return usage_option(a->command->arguments, word, n, out_value);
}

static int
bad_value(const struct parse *p, const char *name, const char *value,
    const char *allowed)
{
	out_error("%s takes %s, not \"%s\"", name, allowed, value);
	return usage_error(p->args);
}

static const struct given *
find_given(const struct args *a, const char *name)
{
	for (size_t i = 0; i < a->noptions; i++) {
		if (strcmp(a->options[i].name, name) == 0)
			return &a->options[i];
	}
	return NULL;
}

/* The value of the option at *i, on whose last word *i is then. */
static int
take_value(const struct parse *p, const char *name, int argc, char **argv,
    int *i, const char **out)
{
	const char *word = argv[*i], *value = strchr(word, '=');

	if (value)
		value++;
	else if (*i + 1 < argc && argv[*i + 1][0] != '-')
		value = argv[++*i];
	if (!value || value[0] == '\0')
		return bad_option(p, name,
		    "needs a value, with = before one that begins with -");
	if (!plain_is_line(value))
		return bad_option(p, name, not_plain);
	*out = value;
	return EXIT_DONE;
}

static int
take_option(struct parse *p, int argc, char **argv, int *i)
{
	const char *word = argv[*i], *value = NULL, *name, *usage;
	const char *allowed, *spelt;
	size_t n = strcspn(word, "=");
	struct args *a = p->args;
	enum usage_form form;
	int exit_code;

	/* An option of "scheduler", which has a verb too. */
	if (!a->command && p->noun)
		a->command = find(p->all, p->n, p->noun, NULL);
	form = form_of(a, word, n, &usage);
	if (form == USAGE_UNKNOWN)
		return bad_option(p, word, "is no option here");
	name = arena_strndup(p->cli->arena, word, n);
	if (find_given(a, name))
		return bad_option(p, name, "is given twice");
	if (form == USAGE_FLAG && word[n] == '=')
		return bad_option(p, name, "takes no value");
	if (form == USAGE_VALUE) {
		exit_code = take_value(p, name, argc, argv, i, &value);
		if (exit_code != EXIT_DONE)
			return exit_code;
		allowed = usage_allowed(p->cli->arena, usage);
		spelt = usage_value(p->cli->arena, allowed, value);
		if (!spelt)
			return bad_value(p, name, value, allowed);
		value = spelt;
	}
	a->options[a->noptions++] = (struct given){name, value};
	return EXIT_DONE;
}

static int
check_words(const struct args *a)
{
	size_t min, max;

	usage_words(a->command->arguments, &min, &max);
	if (a->nwords > max) {
		out_error("\"%s\" is not expected here", a->words[max]);
		return usage_error(a);
	}
	if (a->nwords < min) {
		out_error("%zu word%s missing", min - a->nwords,
		    min - a->nwords == 1 ? " is" : "s are");
		return usage_error(a);
	}
	return EXIT_DONE;
}

int
args_parse(struct cli *c, const struct command *all, size_t n, int argc,
    char **argv, const struct command **out)
{
	size_t room = (size_t)argc + 1;
	struct parse p = {.cli = c, .all = all, .n = n};
	struct args *a = arena_alloc(c->arena, sizeof(*a));
	int exit_code = EXIT_DONE;

	memset(a, 0, sizeof(*a));
	a->options = arena_alloc(c->arena, room * sizeof(*a->options));
	a->words = arena_alloc(c->arena, room * sizeof(*a->words));
	p.args = a;
	for (int i = 0; i < argc && exit_code == EXIT_DONE; i++) {
		if (argv[i][0] == '-')
			exit_code = take_option(&p, argc, argv, &i);
		else
			exit_code = take_word(&p, argv[i]);
	}
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (!a->command && p.noun)
		a->command = find(all, n, p.noun, NULL);
	if (!a->command)
		return no_command(&p, NULL);
	c->args = a;
	*out = a->command;
	return check_words(a);
}

static const struct given *
look_up(const struct cli *c, const char *name, enum usage_form form)
{
	const struct args *a = c->args;
	const char *usage;

	if (form_of(a, name, strlen(name), &usage) != form)
		abort();
	return find_given(a, name);
}

const char *
args_value(const struct cli *c, const char *name)
{
	const struct given *g = look_up(c, name, USAGE_VALUE);

	return g ? g->value : NULL;
}

bool
args_flag(const struct cli *c, const char *name)
{
	return look_up(c, name, USAGE_FLAG) != NULL;
}

size_t
args_count(const struct cli *c)
{
	return c->args->nwords;
}

const char *
args_word(const struct cli *c, size_t i)
{
	return c->args->words[i];
}

int
args_goes_with(const struct cli *c, const char *option, const char *flag)
{
	if (!find_given(c->args, option) || args_flag(c, flag))
		return EXIT_DONE;
	out_error("%s goes with %s", option, flag);
	return usage_error(c->args);
}

int
args_timeout(const struct cli *c, int64_t *out_seconds)
{
	const char *text = args_value(c, "--timeout");
	rc ret;

	if (!text)
		return EXIT_DONE;
	if (args_goes_with(c, "--timeout", "--wait") != EXIT_DONE)
		return EXIT_USAGE;
	ret = enc_parse_i64(text, 1, INT64_MAX, out_seconds);
	if (ret != RC_OK)
		abort(); /* the usage has a range, and it was checked */
	return EXIT_DONE;
}
