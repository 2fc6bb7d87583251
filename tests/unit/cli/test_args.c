/*
 * test_args: a word that a command's usage does not name is refused before
 * anything is done.
 */
#include "cli/args.h"

#include <string.h>

#include "cli/near.h"
#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"

#define WORDS_MAX 16

#define OPTIONS(...) \
	.options = (const struct option[]) \
	{ \
		__VA_ARGS__, \
		{ \
			NULL \
		} \
	}

static const struct command all[] = {
    {"duty", "run", "NAME", "",
	OPTIONS({"--wait", NULL, ""}, {"--timeout", "1..86400", ""})},
    {"duty", NULL, "", ""},
    {"many", "do", "[ID...]", "",
	OPTIONS({"--dry-run", NULL, ""}, {"--yes", NULL, ""},
	    {"--why", "TEXT", ""})},
    {"many", "give", "ID...", "",
	OPTIONS({"--to", "ID", "", .is_required = true}, {"--yes", NULL, ""})},
    {"one", "get", "ID", ""},
    {"one", "list", "", "",
	OPTIONS({"--page", "N", ""}, {"--per-page", "1..500", ""},
	    {"--state", "on|isOff", ""}, {"--rank", "1..9", "", .null = "-"})},
    {"one", "set", "ID", "", .flags = COMMAND_BODY,
	OPTIONS({"--name", "TEXT", "", .is_required = true})},
};
static struct cli cli;
static const struct command *command;

/* line is split at single blanks; "''" is an empty word. */
static int
parse(const char *line)
{
	char *argv[WORDS_MAX + 1], *text, *save = NULL;
	int argc = 0, exit_code;

	arena_free(cli.arena);
	cli = (struct cli){.arena = arena_new()};
	command = NULL;
	text = arena_strdup(cli.arena, line);
	for (char *w = strtok_r(text, " ", &save); w && argc < WORDS_MAX;
	     w = strtok_r(NULL, " ", &save))
		argv[argc++] = strcmp(w, "''") == 0 ? w + 2 : w;
	argv[argc] = NULL;
	capture_begin();
	exit_code = args_parse(&cli, all, ARRAY_LEN(all), argc, argv, &command);
	capture_end();
	CHECK_STR(captured_out(), "");
	if (exit_code == EXIT_DONE) {
		CHECK(command && cli.args);
		CHECK_STR(captured_err(), "");
	} else {
		CHECK_INT(exit_code, EXIT_USAGE);
		CHECK(strncmp(captured_err(), "certctl: ", 9) == 0);
		CHECK(strstr(captured_err(), "see certctl "));
	}
	return exit_code;
}

static void
words_and_options_come_in_any_order(void)
{
	static const char *const lines[] =
	    {"many do a b --yes --why because -o json",
		"-o json many do --yes --why because a b",
		"many -o json do a --why=because b --yes",
		"many do -o=json a --yes b --why because"};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		CHECK_INT(parse(lines[i]), EXIT_DONE);
		CHECK_STR(command->verb, "do");
		CHECK_INT(args_count(&cli), 2);
		CHECK_STR(args_word(&cli, 0), "a");
		CHECK_STR(args_word(&cli, 1), "b");
		CHECK(args_flag(&cli, "--yes"));
		CHECK(!args_flag(&cli, "--dry-run"));
		CHECK_STR(args_value(&cli, "--why"), "because");
		CHECK_STR(args_value(&cli, "-o"), "json");
		CHECK(!args_value(&cli, "--server"));
	}
}

/* `certs bulk-revoke c1 --dryrun --yes` once revoked. */
static void
unknown_options_are_refused(void)
{
	static const char *const lines[] = {"many do a --dryrun --yes",
	    "many do a --dry-ru", "many do a --dry-runs", "many do a -yes",
	    "many do a --dry", "many do a -", "many do a -y",
	    "many do a --DRY-RUN", "many do --to x", "one list --dry-run",
	    "one list --page-per 5", "--dry-run many do", "--why x many do a",
	    "one get a --page 1", "duty --wait", "--odd", "many do a --=x",
	    "many do a --y=es", "one list --pag e=5"};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		CHECK_INT(parse(lines[i]), EXIT_USAGE);
		CHECK(strstr(captured_err(), "is no option here"));
	}
	(void)parse("many do a --dryrun --yes");
	CHECK(strstr(captured_err(), "\"--dryrun\""));
	CHECK(strstr(captured_err(), "usage: certctl many do [ID...]"));
}

/* What begins with a dash is an option, but not behind --. */
static void
two_dashes_end_the_options(void)
{
	CHECK_INT(parse("many do --yes a -- --dry-run -b --"), EXIT_DONE);
	CHECK_INT(args_count(&cli), 4);
	CHECK_STR(args_word(&cli, 1), "--dry-run");
	CHECK_STR(args_word(&cli, 2), "-b");
	CHECK_STR(args_word(&cli, 3), "--");
	CHECK(args_flag(&cli, "--yes") && !args_flag(&cli, "--dry-run"));
	CHECK_INT(parse("-- one get -x"), EXIT_DONE);
	CHECK_STR(args_word(&cli, 0), "-x");
	CHECK_INT(parse("one get --"), EXIT_USAGE);
	CHECK(strstr(captured_err(), "missing"));
	CHECK_INT(parse("many do a --why --"), EXIT_USAGE);
	CHECK(strstr(captured_err(), "needs a value"));
}

/* Where any number of ids may stand, it would count as one. */
static void
an_option_without_its_dashes_is_no_id(void)
{
	static const char *const lines[] = {"many do a dry-run --yes",
	    "many do yes", "many do a why because", "many give a to --to b"};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		CHECK_INT(parse(lines[i]), EXIT_USAGE);
		CHECK(strstr(captured_err(), "is no id here; the option is"));
	}
	CHECK_INT(parse("one get yes"), EXIT_DONE);
	CHECK_INT(parse("many do a state --why yes"), EXIT_DONE);
}

static void
values_are_neither_forgotten_nor_made_up(void)
{
	static const char *const lines[] = {"many do a --why", "many do --why",
	    "many do a --why --yes", "many do a --why=", "many do a --why ''",
	    "many give a --to --yes", "one list --page", "one list --page -1",
	    "one list --per-page -1", "-o", "many do -o"};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		CHECK_INT(parse(lines[i]), EXIT_USAGE);
		CHECK(strstr(captured_err(), "needs a value"));
	}
	CHECK_INT(parse("many do a --why=-x"), EXIT_DONE);
	CHECK_STR(args_value(&cli, "--why"), "-x");
	CHECK_INT(parse("many do a --why=x=y"), EXIT_DONE);
	CHECK_STR(args_value(&cli, "--why"), "x=y");
	CHECK_INT(parse("many do a --yes=no"), EXIT_USAGE);
	CHECK(strstr(captured_err(), "takes no value"));
}

static void
an_option_counts_once(void)
{
	static const char *const lines[] = {"one list --page 1 --page 2",
	    "one list --page=1 --page 2", "many do a --yes --yes",
	    "-o json one get a -o table"};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		CHECK_INT(parse(lines[i]), EXIT_USAGE);
		CHECK(strstr(captured_err(), "given twice"));
	}
}

static void
words_are_counted(void)
{
	static const char *const few[] = {"one get", "duty run",
	    "many give --to x"};
	static const char *const many[] = {"one get a b", "one list a",
	    "duty run a b", "duty runs", "duty a"};

	for (size_t i = 0; i < ARRAY_LEN(few); i++) {
		CHECK_INT(parse(few[i]), EXIT_USAGE);
		CHECK(strstr(captured_err(), "missing"));
	}
	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		CHECK_INT(parse(many[i]), EXIT_USAGE);
		CHECK(strstr(captured_err(), "not expected"));
	}
	CHECK_INT(parse("many do"), EXIT_DONE);
	CHECK_INT(args_count(&cli), 0);
	CHECK_INT(parse("many give a b c --to d"), EXIT_DONE);
	CHECK_INT(args_count(&cli), 3);
	CHECK_INT(parse("duty"), EXIT_DONE);
	CHECK(!command->verb);
	CHECK_INT(parse("duty run a --wait"), EXIT_DONE);
	CHECK_STR(command->verb, "run");
}

static void
words_that_name_no_object_are_refused(void)
{
	static const char *const lines[] = {"one get ''", "one get .",
	    "one get ..", "many do a '' b"};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		CHECK_INT(parse(lines[i]), EXIT_USAGE);
		CHECK(strstr(captured_err(), "cannot be an id"));
	}
	CHECK_INT(parse("one get a-b.c"), EXIT_DONE);
}

static void
commands_that_are_none_are_refused(void)
{
	static const char *const lines[] = {"", "one bake", "two get a", "''",
	    "get one", "one get-a", "-o json", "help one"};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		CHECK_INT(parse(lines[i]), EXIT_USAGE);
		CHECK(strstr(captured_err(), "there is no command"));
	}
	CHECK_INT(parse("one"), EXIT_USAGE);
	CHECK(strstr(captured_err(), "a verb is missing behind \"one\"\n"));
	CHECK(strstr(captured_err(), "one has: get, list, set\n"));
}

static void
foreign_words_are_told_harmlessly(void)
{
	CHECK_INT(parse("one get a \x1b[31mred"), EXIT_USAGE);
	CHECK(!strchr(captured_err(), '\x1b'));
	CHECK(strstr(captured_err(), "\\x1b[31mred"));
	CHECK(strstr(captured_err(), "control character"));
	CHECK_INT(parse("many do a --why b\nc"), EXIT_USAGE);
	CHECK_INT(parse("many do a --why=b\x7f"), EXIT_USAGE);
	CHECK_INT(parse("one get a\rb"), EXIT_USAGE);
}

/* C1, marks of direction, zero width, and bytes that are no text. */
static void
what_nobody_sees_is_refused_everywhere(void)
{
	static const char *const hidden[] = {("\xc2\x9b"
					      "2J"),
	    "\xc2\x85", "\xe2\x80\xae", "\xe2\x81\xa6", "\xd8\x9c",
	    "\xe2\x80\x8b", "\xef\xbb\xbf", "\xc2\xad", "\xe2\x80\xa8",
	    "\xf3\xa0\x81\x81", "\xe2\x80\x8d", "\xff", "\xc0\xaf", "\x9b",
	    "\x1b", "\x7f"};
	static const char control[] = "holds a control character",
			  unseen[] = "holds a character that can't be seen",
			  joiner[] = "holds a joiner (U+200C or U+200D)",
			  bytes[] = "holds bytes that are no UTF-8";
	static const char *const causes[] = {control, control, unseen, unseen,
	    unseen, unseen, unseen, unseen, unseen, unseen, joiner, bytes,
	    bytes, bytes, control, control};
	static const char *const lines[] = {"one get a%s", "one get %sa",
	    "many do a b%sc", "many do --why=x%s", "many do --why %sx a",
	    "many give a --to b%s", "one%s get a", "one g%set a",
	    "-o js%son one get a", "--api-key=k%s one get a",
	    "--server https://%sx one get a", "one list --state=o%sn"};
	char line[128];

	for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
		for (size_t j = 0; j < ARRAY_LEN(lines); j++) {
			const char *at = strstr(lines[j], "%s");

			(void)snprintf(line, sizeof(line), "%.*s%s%s",
			    (int)(at - lines[j]), lines[j], hidden[i], at + 2);
			CHECK_INT(parse(line), EXIT_USAGE);
			CHECK(strstr(captured_err(), causes[i]));
			CHECK(!strstr(captured_err(), hidden[i]));
		}
	}
	CHECK_INT(parse("many do K\xc3\xb6ln --why \xe6\x97\xa5"), EXIT_DONE);
}

static void
values_are_of_their_range(void)
{
	static const char *const bad[] = {"0", "501", "-1", "1e2", "+5", "0x5",
	    "99999999999999999999", "five", "1..5", "5.0"};
	char line[128];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		(void)snprintf(line, sizeof(line), "one list --per-page=%s",
		    bad[i]);
		CHECK_INT(parse(line), EXIT_USAGE);
		CHECK(strstr(captured_err(), "--per-page takes 1..500, not"));
	}
	CHECK_INT(parse("one list --per-page 1"), EXIT_DONE);
	CHECK_INT(parse("one list --per-page=500"), EXIT_DONE);
	CHECK_STR(args_value(&cli, "--per-page"), "500");
}

static void
values_are_of_their_words(void)
{
	static const char *const bad[] = {"of", "o", "onn", "on|isOff", "|",
	    "isOf", "isOff]", "off"};
	char line[128];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		(void)snprintf(line, sizeof(line), "one list --state=%s",
		    bad[i]);
		CHECK_INT(parse(line), EXIT_USAGE);
		CHECK(strstr(captured_err(), "--state takes on|isOff, not"));
	}
	CHECK_INT(parse("one list --state isoff"), EXIT_DONE);
	CHECK_STR(args_value(&cli, "--state"), "isOff");
	CHECK_INT(parse("-o XML one get a"), EXIT_USAGE);
	CHECK(strstr(captured_err(),
	    "-o takes table|wide|json|yaml|csv|name, not"));
	CHECK_INT(parse("--format JSON one get a"), EXIT_DONE);
	CHECK_STR(args_value(&cli, "--format"), "json");
}

static void
a_timeout_goes_with_a_wait(void)
{
	int64_t seconds = 7;
	int exit_code;

	CHECK_INT(parse("duty run a --wait"), EXIT_DONE);
	CHECK_INT(args_timeout(&cli, &seconds), EXIT_DONE);
	CHECK_INT(seconds, 7);
	CHECK_INT(parse("duty run a --wait --timeout 9"), EXIT_DONE);
	CHECK_INT(args_timeout(&cli, &seconds), EXIT_DONE);
	CHECK_INT(seconds, 9);
	CHECK_INT(parse("duty run a --timeout 5"), EXIT_DONE);
	capture_begin();
	exit_code = args_timeout(&cli, &seconds);
	capture_end();
	CHECK_INT(exit_code, EXIT_USAGE);
	CHECK(strstr(captured_err(), "--timeout goes with --wait"));
	CHECK_INT(parse("duty run a --wait --timeout 86401"), EXIT_USAGE);
	CHECK_INT(parse("duty run a --wait --timeout 0"), EXIT_USAGE);
	CHECK_INT(parse("duty run a --wait --timeout 1s"), EXIT_USAGE);
}

/* What was nearly right is told, and nothing where nothing is near. */
static void
what_was_meant_is_told(void)
{
	static const char *const near[][2] = {
	    {"onne list", "did you mean \"one\""},
	    {"man do", "did you mean \"many\""},
	    {"one lsit", "did you mean \"one list\""},
	    {"one ge", "did you mean \"one get\""},
	    {"many do a --dryrun", "did you mean \"--dry-run\""},
	    {"one list --per-pag 5", "did you mean \"--per-page\""},
	    {"one list --state isof", "did you mean \"isOff\""},
	    {"one list --formt json", "did you mean \"--format\""},
	};
	static const char *const far[] = {"certificates", "one destroy",
	    "one list --quiet", "one list --state enabled", "", "''"};

	for (size_t i = 0; i < ARRAY_LEN(near); i++) {
		CHECK_INT(parse(near[i][0]), EXIT_USAGE);
		CHECK(strstr(captured_err(), near[i][1]));
	}
	for (size_t i = 0; i < ARRAY_LEN(far); i++) {
		CHECK_INT(parse(far[i]), EXIT_USAGE);
		CHECK(!strstr(captured_err(), "did you mean"));
	}
	(void)parse("one destroy");
	CHECK(strstr(captured_err(), "one has: get, list, set\n"));
}

static void
what_is_required_is_named(void)
{
	size_t at = 0;

	CHECK_INT(parse("many give a"), EXIT_USAGE);
	CHECK(strstr(captured_err(), "--to is required"));
	CHECK_INT(parse("one set a"), EXIT_USAGE);
	CHECK(strstr(captured_err(), "--name is required"));
	/* A body's members may come otherwise. */
	CHECK_INT(parse("one set a -f -"), EXIT_DONE);
	CHECK_STR(args_value(&cli, "--file"), "-");
	CHECK_INT(parse("one set a --set b=1 --set=c=2"), EXIT_DONE);
	CHECK_STR(args_next(&cli, "--set", &at), "b=1");
	CHECK_STR(args_next(&cli, "--set", &at), "c=2");
	CHECK(!args_next(&cli, "--set", &at));
	CHECK_INT(parse("one set a -f - --file x"), EXIT_USAGE);
	CHECK(strstr(captured_err(), "\"--file\" is given twice"));
}

static void
a_word_may_stand_for_none(void)
{
	CHECK_INT(parse("one list --rank=-"), EXIT_DONE);
	CHECK_STR(args_value(&cli, "--rank"), "-");
	CHECK_INT(parse("one list --rank 9"), EXIT_DONE);
	CHECK_INT(parse("one list --rank 10"), EXIT_USAGE);
}

static void
letters_that_differ_are_counted(void)
{
	CHECK_INT(near_distance("list", "list"), 0);
	CHECK_INT(near_distance("list", "lsit"), 1);
	CHECK_INT(near_distance("list", "lis"), 1);
	CHECK_INT(near_distance("", "lis"), 3);
	CHECK_INT(near_distance("get", "revoke"), 5);
}

/* --- the table itself --- */

static bool
is_noun(const char *name)
{
	for (size_t i = 0; i < nnouns; i++) {
		if (strcmp(nouns[i].name, name) == 0)
			return true;
	}
	return false;
}

static void
check_options(struct arena *a, const struct command *m)
{
	const struct option *o;

	for (size_t at = 0; (o = command_next(m, &at, true)) != NULL;) {
		const struct option *other;

		CHECK(o->flag[0] == '-' && o->help && o->help[0]);
		CHECK(!strchr(o->flag, '_') && !strchr(o->flag, '='));
		CHECK(!o->dflt || !o->takes ||
		      command_value(a, o->takes, o->dflt));
		for (size_t j = 0, k;
		     (k = j, other = command_next(m, &j, true));)
			CHECK(k + 1 == at || strcmp(o->flag, other->flag) != 0);
	}
}

/* Each row can be run by what it says, and can be told apart. */
static void
the_rows_are_whole(void)
{
	struct arena *a = arena_new();

	for (size_t i = 0; i < ncommands; i++) {
		const struct command *m = &commands[i];
		size_t holes = 0, min, max;

		CHECK(is_noun(m->noun) && m->help && m->help[0]);
		CHECK(!m->method == !m->path && (m->run || m->path));
		command_words(m, &min, &max);
		for (const char *p = m->path; p && (p = strstr(p, "{}")); p++)
			holes++;
		CHECK(!m->path || m->run ||
		      holes + (m->last_word != NULL) == max);
		if (!m->run && m->flags & COMMAND_LIST)
			CHECK(m->columns);
		else if (!m->run)
			CHECK(
			    (m->flags & COMMAND_TEXT) || m->members || m->done);
		check_options(a, m);
		for (size_t j = 0; j < i; j++)
			CHECK(
			    strcmp(m->noun, commands[j].noun) != 0 ||
			    strcmp(m->verb ? m->verb : "",
				commands[j].verb ? commands[j].verb : "") != 0);
	}
	for (size_t i = 0; i < nnouns; i++)
		CHECK(command_is_noun(commands, ncommands, nouns[i].name));
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(words_and_options_come_in_any_order),
    CHECK_ROW(unknown_options_are_refused),
    CHECK_ROW(two_dashes_end_the_options),
    CHECK_ROW(an_option_without_its_dashes_is_no_id),
    CHECK_ROW(values_are_neither_forgotten_nor_made_up),
    CHECK_ROW(an_option_counts_once), CHECK_ROW(words_are_counted),
    CHECK_ROW(words_that_name_no_object_are_refused),
    CHECK_ROW(commands_that_are_none_are_refused),
    CHECK_ROW(foreign_words_are_told_harmlessly),
    CHECK_ROW(what_nobody_sees_is_refused_everywhere),
    CHECK_ROW(values_are_of_their_range), CHECK_ROW(values_are_of_their_words),
    CHECK_ROW(a_timeout_goes_with_a_wait), CHECK_ROW(what_was_meant_is_told),
    CHECK_ROW(what_is_required_is_named), CHECK_ROW(a_word_may_stand_for_none),
    CHECK_ROW(letters_that_differ_are_counted), CHECK_ROW(the_rows_are_whole))
