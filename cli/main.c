/*
 * certctl: the command line over the REST API.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "cli/args.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/complete.h"
#include "cli/describe.h"
#include "cli/help.h"
#include "cli/listing.h"
#include "cli/out.h"
#include "cli/settings.h"
#include "cli/talk.h"

/* What was done is done, but it was not shown. */
static int
shown(const struct cli *c, int exit_code)
{
	return exit_code == EXIT_DONE && c->is_unshown ? EXIT_FAILED
						       : exit_code;
}

static int
run(struct cli *c, int argc, char **argv)
{
	const struct command *m;
	int exit_code;

	exit_code = args_parse(c, commands, ncommands, argc, argv, &m);
	if (exit_code == EXIT_DONE)
		exit_code = listing_check(c);
	if (exit_code != EXIT_DONE)
		return exit_code;
	talk_about(arena_printf(c->arena, "%s%s%s", m->noun, m->verb ? " " : "",
	    m->verb ? m->verb : ""));
	if (!settings_take(c))
		return EXIT_USAGE;
	if (m->flags & COMMAND_OFFLINE && strcmp(m->noun, "context") != 0)
		return shown(c, m->run(c));
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
		out_error("curl cannot be used");
		return EXIT_FAILED;
	}
	exit_code = m->run ? m->run(c) : call_run(c);
	client_end();
	curl_global_cleanup();
	return shown(c, exit_code);
}

/* What scripts and our own tools ask for stands in no help. */
static int
run_words(struct cli *c, int argc, char **argv)
{
	if (argc > 0 && strcmp(argv[0], "__complete") == 0)
		return complete_run(c, argc - 1, argv + 1, settings_take);
	if (argc == 1 && strcmp(argv[0], "__table") == 0) {
		describe_table(c->arena);
		return EXIT_DONE;
	}
	if (argc == 1 && strcmp(argv[0], "--version") == 0) {
		out_print("certctl %s\n", CERTCTL_VERSION);
		return EXIT_DONE;
	}
	if (help_wanted(c->arena, argc, argv))
		return EXIT_DONE;
	return run(c, argc, argv);
}

static void
end_unseen(void)
{
	(void)out_flush(); /* tells why */
	talk_end(EXIT_FAILED);
	_exit(EXIT_FAILED);
}

int
main(int argc, char **argv)
{
	struct cli c = {.format = FORMAT_TABLE};
	int exit_code;

	/* A closed pipe is told as a full disk is (out.h). */
	(void)signal(SIGPIPE, SIG_IGN);
	out_on_loss(end_unseen);
	if (settings_want_json(argc - 1, argv + 1))
		talk_as_json();
	c.arena = arena_new();
	exit_code = run_words(&c, argc - 1, argv + 1);
	if (!out_flush() && exit_code == EXIT_DONE)
		exit_code = EXIT_FAILED;
	talk_end(exit_code);
	arena_free(c.arena);
	return exit_code;
}
