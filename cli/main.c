/*
 * certctl: the command line over the REST API.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "cli/args.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/complete.h"
#include "cli/describe.h"
#include "cli/help.h"
#include "cli/out.h"
#include "common/base/plain.h"

static const char *
setting(const char *given, const char *variable, const char *dflt)
{
	const char *value = given ? given : getenv(variable);

	return value && value[0] ? value : dflt;
}

/* Of -o and --format one; *out is left when neither is given. */
static bool
read_format(const struct cli *c, bool *out_as_json)
{
	const char *o = args_value(c, "-o"), *f = args_value(c, "--format");
	const char *format = o ? o : f;

	if (o && f) {
		out_error("-o and --format are the same: give one");
		return false;
	}
	*out_as_json = format && strcmp(format, "json") == 0;
	return true;
}

/* What becomes a line of a request must be one. */
static bool
is_line(const char *what, const char *value)
{
	if (plain_is_line(value))
		return true;
	out_error("%s holds a control character (a line feed at its end?), one "
		  "that can't be seen, or bytes that are no UTF-8",
	    what);
	return false;
}

static bool
take_settings(struct cli *c)
{
	const char *insecure =
	    setting(NULL, "CERTCTL_SERVER_TLS_INSECURE_SKIP_VERIFY", "");

	c->server = setting(args_value(c, "--server"), "CERTCTL_SERVER_URL",
	    "https://localhost:8443");
	c->api_key = setting(args_value(c, "--api-key"), "CERTCTL_API_KEY", "");
	c->ca_file = setting(args_value(c, "--ca-bundle"),
	    "CERTCTL_SERVER_CA_BUNDLE_PATH", "");
	c->insecure =
	    args_flag(c, "--insecure") || strcasecmp(insecure, "true") == 0;
	if (!c->insecure && insecure[0] && strcasecmp(insecure, "false")) {
		out_error("CERTCTL_SERVER_TLS_INSECURE_SKIP_VERIFY is true or "
			  "false, not \"%s\"",
		    insecure);
		return false;
	}
	if (strncmp(c->server, "https://", 8) != 0) {
		out_error("the server's URL is \"%s\"; it must begin with "
			  "https://",
		    c->server);
		return false;
	}
	return read_format(c, &c->as_json) &&
	       is_line("the API key", c->api_key) &&
	       is_line("the server's URL", c->server);
}

static int
run(struct cli *c, int argc, char **argv)
{
	const struct command *m;
	int exit_code;

	exit_code = args_parse(c, commands, ncommands, argc, argv, &m);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (!take_settings(c))
		return EXIT_USAGE;
	if (m->flags & COMMAND_OFFLINE)
		return m->run(c);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
		out_error("curl cannot be used");
		return EXIT_FAILED;
	}
	exit_code = m->run ? m->run(c) : call_run(c);
	client_end();
	curl_global_cleanup();
	return exit_code;
}

/* What scripts and our own tools ask for stands in no help. */
static int
run_words(struct cli *c, int argc, char **argv)
{
	if (argc > 0 && strcmp(argv[0], "__complete") == 0)
		return complete_run(c, argc - 1, argv + 1, take_settings);
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

int
main(int argc, char **argv)
{
	struct cli c = {.as_json = false};
	int exit_code;

	c.arena = arena_new();
	exit_code = run_words(&c, argc - 1, argv + 1);
	arena_free(c.arena);
	if (!out_flush() && exit_code == EXIT_DONE)
		exit_code = EXIT_FAILED;
	return exit_code;
}
