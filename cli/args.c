#include "cli/args.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/out.h"
#include "common/base/enc.h"

#define TIMEOUT_MAX_S 86400

const char args_global[] =
    "[-o FORMAT] [--format FORMAT] [--server URL] [--api-key KEY] "
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

enum option_form { OPTION_UNKNOWN, OPTION_FLAG, OPTION_VALUE };

/* How the usage names that option, if it does. */
static enum option_form
form_in(const char *usage, const char *name, size_t n)
{
	for (const char *p = usage; (p = strstr(p, "-")) != NULL;) {
		bool begins = p == usage || p[-1] == '[' || p[-1] == ' ';
		size_t len = strcspn(p, " ]");

		if (begins && len == n && memcmp(p, name, n) == 0)
			return p[n] == ' ' && isupper((unsigned char)p[n + 1])
				   ? OPTION_VALUE
				   : OPTION_FLAG;
		p += begins ? len : 1;
	}
	return OPTION_UNKNOWN;
}

/* How many words that are no options the usage asks for. */
static void
words_in(const char *usage, size_t *out_min, size_t *out_max)
{
	bool is_value = false;

	*out_min = *out_max = 0;
	for (const char *p = usage; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");
		bool is_optional = p[0] == '[';
		bool is_option = p[is_optional] == '-';
		bool is_many = memmem(p, n, "...", 3) != NULL;

		if (is_option) {
			is_value = p[n] == ' ' && p[n - 1] != ']' &&
				   isupper((unsigned char)p[n + 1]);
		} else if (is_value) {
			is_value = false;
		} else {
			*out_min += !is_optional;
			*out_max = is_many ? SIZE_MAX : *out_max + 1;
		}
		p += n;
	}
}

static int
usage_error(const struct args *a)
{
	const struct command *m = a->command;

	if (m)
		out_tell("usage: certctl %s%s%s%s%s\n", m->noun,
		    m->verb ? " " : "", m->verb ? m->verb : "",
		    m->arguments[0] ? " " : "", m->arguments);
	out_tell("see certctl help\n");
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

/* Some become a line of a request, and none means to hold one. */
static bool
has_control(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	}
	return false;
}

static int
take_word(struct parse *p, const char *word)
{
	struct args *a = p->args;

	if (has_control(word)) {
		out_error("\"%s\" holds a control character", word);
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
	a->words[a->nwords++] = word;
	return EXIT_DONE;
}

static int
bad_option(const struct parse *p, const char *word, const char *what)
{
	out_error("\"%s\" %s", word, what);
	return usage_error(p->args);
}

static enum option_form
form_of(const struct parse *p, const char *word, size_t n)
{
	enum option_form form = form_in(args_global, word, n);

	if (form != OPTION_UNKNOWN || !p->args->command)
		return form;
	return form_in(p->args->command->arguments, word, n);
}

/* *i is at the option; moves on to its value. */
static int
take_option(struct parse *p, int argc, char **argv, int *i)
{
	const char *word = argv[*i], *value = NULL;
	size_t n = strcspn(word, "=");
	struct args *a = p->args;
	enum option_form form;
	const char *name;

	/* An option of "scheduler", which has a verb too. */
	if (!a->command && p->noun)
		a->command = find(p->all, p->n, p->noun, NULL);
	form = form_of(p, word, n);
	if (form == OPTION_UNKNOWN)
		return bad_option(p, word, "is no option here");
	name = arena_strndup(p->cli->arena, word, n);
	for (size_t j = 0; j < a->noptions; j++) {
		if (strcmp(a->options[j].name, name) == 0)
			return bad_option(p, name, "is given twice");
	}
	if (form == OPTION_FLAG && word[n] == '=')
		return bad_option(p, name, "takes no value");
	if (form == OPTION_VALUE && word[n] == '=')
		value = word + n + 1;
	else if (form == OPTION_VALUE && *i + 1 < argc &&
		 argv[*i + 1][0] != '-')
		value = argv[++*i];
	if (form == OPTION_VALUE && (!value || value[0] == '\0'))
		return bad_option(p, name,
		    "needs a value, with = before one that begins with -");
	if (value && has_control(value))
		return bad_option(p, name, "holds a control character");
	a->options[a->noptions++] = (struct given){name, value};
	return EXIT_DONE;
}

static int
check_words(const struct args *a)
{
	size_t min, max;

	words_in(a->command->arguments, &min, &max);
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
find_given(const struct args *a, const char *name)
{
	for (size_t i = 0; i < a->noptions; i++) {
		if (strcmp(a->options[i].name, name) == 0)
			return &a->options[i];
	}
	return NULL;
}

static const struct given *
look_up(const struct cli *c, const char *name, enum option_form form)
{
	const struct args *a = c->args;
	size_t n = strlen(name);

	if (form_in(a->command->arguments, name, n) != form &&
	    form_in(args_global, name, n) != form)
		abort();
	return find_given(a, name);
}

const char *
args_value(const struct cli *c, const char *name)
{
	const struct given *g = look_up(c, name, OPTION_VALUE);

	return g ? g->value : NULL;
}

bool
args_flag(const struct cli *c, const char *name)
{
	return look_up(c, name, OPTION_FLAG) != NULL;
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
	ret = enc_parse_i64(text, 1, TIMEOUT_MAX_S, out_seconds);
	if (ret == RC_OK)
		return EXIT_DONE;
	out_error("--timeout takes seconds, 1 to %d", TIMEOUT_MAX_S);
	return usage_error(c->args);
}
