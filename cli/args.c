#include "cli/args.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/listing_keys.h"
#include "cli/near.h"
#include "cli/out.h"
#include "cli/talk.h"
#include "cli/term.h"
#include "common/base/enc.h"
#include "common/base/plain.h"

struct given {
	const struct option *option;
	const char *value;
};

struct args {
	const struct command *all;
	size_t nall;
	const struct command *command;
	struct given *options;
	size_t noptions;
	const char **words;
	size_t nwords;
};

static int
usage_error(struct cli *c, const struct args *a)
{
	const struct command *m = a->command;

	if (!m) {
		out_tell("see certctl help");
		return EXIT_USAGE;
	}
	talk_folded(c->arena, 11,
	    arena_printf(c->arena, "usage: certctl %s%s%s %s", m->noun,
		m->verb ? " " : "", m->verb ? m->verb : "",
		command_usage(c->arena, m)));
	out_tell("see certctl %s%s%s --help", m->noun, m->verb ? " " : "",
	    m->verb ? m->verb : "");
	return EXIT_USAGE;
}

struct parse {
	struct cli *cli;
	const struct command *all;
	size_t n;
	const char *noun; /* before the command is known */
	struct args *args;
};

/* Nothing of that name: what there is beside it is told. */
static int
no_command(const struct parse *p, const char *verb)
{
	const char *noun = p->noun ? p->noun : "";
	bool is_noun = command_is_noun(p->all, p->n, noun);
	struct near near = {.word = is_noun && verb ? verb : noun};
	const char *verbs = "";

	for (size_t i = 0; i < p->n; i++) {
		const struct command *m = &p->all[i];

		if (m->flags & COMMAND_HIDDEN)
			continue;
		if (!is_noun) {
			near_look(&near, m->noun);
		} else if (m->verb && strcmp(m->noun, noun) == 0) {
			near_look(&near, m->verb);
			verbs = arena_printf(p->cli->arena, "%s%s%s", verbs,
			    verbs[0] ? ", " : "", m->verb);
		}
	}
	if (is_noun && !verb)
		out_error("a verb is missing behind \"%s\"", noun);
	else
		out_error("there is no command \"%s%s%s\"%s", noun,
		    verb ? " " : "", verb ? verb : "",
		    near_ask(p->cli->arena, &near,
			is_noun ? arena_printf(p->cli->arena, "%s ", noun)
				: ""));
	if (!is_noun)
		return usage_error(p->cli, p->args);
	talk_folded(p->cli->arena, 4,
	    arena_printf(p->cli->arena, "%s has: %s", noun, verbs));
	out_tell("see certctl %s --help", noun);
	return EXIT_USAGE;
}

/* Whether it would be taken for one more id where its dashes are missing. */
static bool
is_option_without_dashes(struct parse *p, const char *word)
{
	const char *option = arena_printf(p->cli->arena, "--%s", word);
	size_t min, max;

	command_words(p->args->command, &min, &max);
	return max == SIZE_MAX &&
	       command_option(p->args->command, option, strlen(option)) != NULL;
}

static int
take_word(struct parse *p, const char *word)
{
	struct args *a = p->args;

	const char *why_no_line = plain_why_no_line(word);

	/* Some become a line of a request, and none means to hold what nobody
	 * sees. */
	if (why_no_line) {
		out_error("\"%s\" holds %s", word, why_no_line);
		return usage_error(p->cli, a);
	}
	if (!p->noun) {
		p->noun = word;
		return EXIT_DONE;
	}
	if (!a->command) {
		a->command = command_find(p->all, p->n, p->noun, word);
		if (a->command)
			return EXIT_DONE;
		a->command = command_find(p->all, p->n, p->noun, NULL);
		if (!a->command)
			return no_command(p, word);
	}
	/* These would name a list, or something above it. */
	if (word[0] == '\0' || strcmp(word, ".") == 0 ||
	    strcmp(word, "..") == 0) {
		out_error("\"%s\" cannot be an id", word);
		return usage_error(p->cli, a);
	}
	if (is_option_without_dashes(p, word)) {
		out_error("\"%s\" is no id here; the option is --%s", word,
		    word);
		return usage_error(p->cli, a);
	}
	a->words[a->nwords++] = word;
	return EXIT_DONE;
}

static int
bad_option(const struct parse *p, const char *word, const char *what)
{
	out_error("\"%s\" %s", word, what);
	return usage_error(p->cli, p->args);
}

/* A list that is longer than a line stands behind what is wrong. */
static void
tell_value(struct cli *c, const struct option *o, const char *value,
    const char *meant)
{
	const char *text = arena_printf(c->arena, "%s takes %s, not \"%s\"%s",
	    o->flag, o->takes, value, meant);
	const char *words = "";

	if (strcmp(o->takes, COMMAND_TIME) == 0) {
		out_error("%s takes a time, as 2026-12-31T12:00:00Z, or a "
			  "date, not \"%s\"",
		    o->flag, value);
		return;
	}
	if (talk_is_json() || !strchr(o->takes, '|') ||
	    strlen("certctl: ") + strlen(text) <= term_width(TALK_WIDTH_MIN)) {
		out_error("%s", text);
		return;
	}
	for (const char *at = o->takes; *at; at += *at == '|') {
		size_t n = strcspn(at, "|");

		words = arena_printf(c->arena, "%s%s%.*s", words,
		    words[0] ? ", " : "", (int)n, at);
		at += n;
	}
	out_error("%s does not take \"%s\"%s", o->flag, value, meant);
	talk_folded(c->arena, 4,
	    arena_printf(c->arena, "%s takes: %s", o->flag, words));
}

static int
bad_value(const struct parse *p, const struct option *o, const char *value)
{
	struct near near = {.word = value};
	const char *word;

	for (const char *at = strchr(o->takes, '|') ? o->takes : ""; *at;
	     at += *at == '|') {
		word = arena_strndup(p->cli->arena, at, strcspn(at, "|"));
		near_look(&near, word);
		at += strlen(word);
	}
	tell_value(p->cli, o, value, near_ask(p->cli->arena, &near, ""));
	return usage_error(p->cli, p->args);
}

static int
bad_name(const struct parse *p, const char *word, size_t n)
{
	struct near near = {.word = arena_strndup(p->cli->arena, word, n)};
	const struct option *o;

	for (size_t at = 0;
	     (o = command_next(p->args->command, &at, true)) != NULL;)
		near_look(&near, o->flag);
	out_error("\"%s\" is no option here%s", word,
	    near_ask(p->cli->arena, &near, ""));
	return usage_error(p->cli, p->args);
}

static const struct given *
find_given(const struct args *a, const char *name)
{
	for (size_t i = 0; i < a->noptions; i++) {
		if (strcmp(a->options[i].option->flag, name) == 0)
			return &a->options[i];
	}
	return NULL;
}

static bool
is_standard_input(const struct option *o, const char *word)
{
	return strcmp(o->takes, "FILE") == 0 && strcmp(word, "-") == 0;
}

/* The value of the option at *i, on whose last word *i is then. */
static int
take_value(const struct parse *p, const struct option *o, int argc, char **argv,
    int *i, const char **out)
{
	const char *word = argv[*i], *value = strchr(word, '=');
	const char *why_no_line;

	if (value)
		value++;
	else if (*i + 1 < argc &&
		 (argv[*i + 1][0] != '-' || is_standard_input(o, argv[*i + 1])))
		value = argv[++*i];
	if (!value || value[0] == '\0')
		return bad_option(p, o->flag,
		    "needs a value, with = before one that begins with -");
	why_no_line = plain_why_no_line(value);
	if (why_no_line)
		return bad_option(p, o->flag,
		    arena_printf(p->cli->arena, "holds %s", why_no_line));
	*out = value;
	return EXIT_DONE;
}

/* value: NULL of a flag. */
static int
take_given(struct parse *p, const struct option *o, const char *value)
{
	struct args *a = p->args;
	const char *spelt = value;

	if (!o->is_many && find_given(a, o->flag))
		return bad_option(p, o->flag, "is given twice");
	if (value && !(o->null && strcmp(value, o->null) == 0)) {
		spelt = command_value(p->cli->arena, o->takes, value);
		if (!spelt)
			return bad_value(p, o, value);
	}
	a->options[a->noptions++] = (struct given){o, spelt};
	return EXIT_DONE;
}

/* What an option asks the server for is that option; the rest is listing's. */
static int
take_filter(struct parse *p, const struct option *as, const char *filter)
{
	const char *value = strchr(filter, '=');
	const struct option *o;

	if (!value)
		return bad_option(p, as->flag, "takes KEY=VALUE");
	o = listing_option(p->args->command, filter, (size_t)(value - filter));
	if (!o)
		return take_given(p, as, filter);
	if (value[1] == '\0')
		return bad_option(p, filter, "needs a value behind the =");
	return take_given(p, o, value + 1);
}

static int
take_option(struct parse *p, int argc, char **argv, int *i)
{
	const char *word = argv[*i], *value = NULL;
	size_t n = strcspn(word, "=");
	struct args *a = p->args;
	const struct option *o;
	int exit_code;

	/* An option of "scheduler", which has a verb too. */
	if (!a->command && p->noun)
		a->command = command_find(p->all, p->n, p->noun, NULL);
	o = command_option(a->command, word, n);
	if (!o)
		return bad_name(p, word, n);
	if (!o->takes && word[n] == '=')
		return bad_option(p, o->flag, "takes no value");
	if (o->takes) {
		exit_code = take_value(p, o, argc, argv, i, &value);
		if (exit_code != EXIT_DONE)
			return exit_code;
		if (listing_is_filter(o))
			return take_filter(p, o, value);
	}
	return take_given(p, o, value);
}

/* Whether the last word's member may stand in --file or --set instead: 1. */
static size_t
comes_by_body(const struct args *a, size_t min)
{
	const struct command *m = a->command;

	return min > 0 && m->flags & COMMAND_BODY && m->last_word &&
	       (find_given(a, "--file") || find_given(a, "--set"));
}

static int
check_words(struct cli *c, const struct args *a)
{
	const struct option *o;
	size_t min, max;

	command_words(a->command, &min, &max);
	if (a->nwords > max) {
		out_error("\"%s\" is not expected here", a->words[max]);
		return usage_error(c, a);
	}
	if (a->nwords < min - comes_by_body(a, min)) {
		out_error("%zu word%s missing: %s", min - a->nwords,
		    min - a->nwords == 1 ? " is" : "s are", a->command->words);
		return usage_error(c, a);
	}
	for (size_t i = 0; i < a->noptions; i++) {
		o = a->options[i].option;
		if (o->needs && !find_given(a, o->needs)) {
			out_error("%s needs %s beside it", o->flag, o->needs);
			return usage_error(c, a);
		}
	}
	/* A body's members may come by these instead. */
	if (find_given(a, "--file") || find_given(a, "--set"))
		return EXIT_DONE;
	for (size_t at = 0; (o = command_next(a->command, &at, false));) {
		if (o->is_required && !find_given(a, o->flag)) {
			out_error("%s is required", o->flag);
			talk_folded(c->arena, 4,
			    arena_printf(c->arena, "%s: %s", o->flag, o->help));
			return usage_error(c, a);
		}
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
	bool are_words = false; /* behind -- */
	int exit_code = EXIT_DONE;

	memset(a, 0, sizeof(*a));
	a->all = all;
	a->nall = n;
	a->options = arena_alloc(c->arena, room * sizeof(*a->options));
	a->words = arena_alloc(c->arena, room * sizeof(*a->words));
	p.args = a;
	for (int i = 0; i < argc && exit_code == EXIT_DONE; i++) {
		if (!are_words && strcmp(argv[i], "--") == 0)
			are_words = true;
		else if (!are_words && argv[i][0] == '-')
			exit_code = take_option(&p, argc, argv, &i);
		else
			exit_code = take_word(&p, argv[i]);
	}
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (!a->command && p.noun)
		a->command = command_find(all, n, p.noun, NULL);
	if (!a->command)
		return no_command(&p, NULL);
	c->args = a;
	*out = a->command;
	return check_words(c, a);
}

void
args_none(struct cli *c)
{
	c->args = arena_alloc(c->arena, sizeof(*c->args));
	memset(c->args, 0, sizeof(*c->args));
}

void
args_add(struct cli *c, const struct option *o, const char *value)
{
	struct args *a = c->args;
	struct given *all =
	    arena_alloc(c->arena, (a->noptions + 1) * sizeof(*all));

	if (a->noptions > 0)
		memcpy(all, a->options, a->noptions * sizeof(*all));
	all[a->noptions++] = (struct given){o, value};
	a->options = all;
}

/* An option that the row has; another is our bug. */
static const struct given *
look_up(const struct cli *c, const char *name, bool takes_value)
{
	const struct args *a = c->args;
	const struct option *o = command_option(a->command, name, strlen(name));

	if (!o || (o->takes != NULL) != takes_value)
		abort();
	return find_given(a, o->flag);
}

const char *
args_value(const struct cli *c, const char *name)
{
	const struct given *g = look_up(c, name, true);

	return g ? g->value : NULL;
}

const char *
args_next(const struct cli *c, const char *name, size_t *at)
{
	const struct args *a = c->args;

	while (*at < a->noptions) {
		const struct given *g = &a->options[(*at)++];

		if (strcmp(g->option->flag, name) == 0)
			return g->value;
	}
	return NULL;
}

bool
args_flag(const struct cli *c, const char *name)
{
	return look_up(c, name, false) != NULL;
}

bool
args_has(const struct cli *c, const char *name)
{
	return find_given(c->args, name) != NULL;
}

const struct command *
args_command(const struct cli *c)
{
	return c->args->command;
}

const struct command *
args_sibling(const struct cli *c, const char *noun, const char *verb)
{
	return command_find(c->args->all, c->args->nall, noun, verb);
}

int
args_refuse(struct cli *c)
{
	return usage_error(c, c->args);
}

size_t
args_count(const struct cli *c)
{
	return c->args->nwords;
}

const char *
args_body_word(const struct cli *c)
{
	const struct args *a = c->args;
	size_t min, max;

	command_words(a->command, &min, &max);
	return a->command->last_word && a->nwords == max
		   ? a->words[a->nwords - 1]
		   : NULL;
}

const char *
args_word(const struct cli *c, size_t i)
{
	return c->args->words[i];
}

/* One that may be an id: what stands for it says of what. */
static int
change_id(struct cli *c, const char *placeholder, const char **value,
    args_change *change, void *arg)
{
	const char *noun = placeholder ? command_noun_of(placeholder,
					     strcspn(placeholder, " .]"),
					     c->args->command->noun)
				       : NULL;

	return noun ? change(c, noun, value, arg) : EXIT_DONE;
}

int
args_change_ids(struct cli *c, args_change *change, void *arg)
{
	struct args *a = c->args;
	int exit_code = EXIT_DONE;
	size_t n;

	for (size_t i = 0; i < a->nwords && exit_code == EXIT_DONE; i++)
		exit_code = change_id(c, command_word(a->command, i, &n),
		    &a->words[i], change, arg);
	for (size_t i = 0; i < a->noptions && exit_code == EXIT_DONE; i++)
		exit_code = change_id(c, a->options[i].option->takes,
		    &a->options[i].value, change, arg);
	return exit_code;
}

int
args_goes_with(struct cli *c, const char *option, const char *flag)
{
	if (!find_given(c->args, option) || args_flag(c, flag))
		return EXIT_DONE;
	out_error("%s goes with %s", option, flag);
	return usage_error(c, c->args);
}

int
args_timeout(struct cli *c, int64_t *out_seconds)
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
