/*
 * certctl: the command line over the REST API.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "common/base/plain.h"

static void
help(void)
{
	out_print("certctl - certificates that issue, renew and deploy "
		  "themselves\n\nusage: certctl COMMAND [ARGUMENTS] "
		  "[OPTIONS]\n\n");
	for (size_t i = 0; i < ncommands; i++) {
		const struct command *m = &commands[i];

		out_print("  %s%s%s %s\n        %s\n", m->noun,
		    m->verb ? " " : "", m->verb ? m->verb : "", m->arguments,
		    m->help);
	}
	out_print("\noptions of every command:\n"
		  "  -o json, --format json   print the API's answer\n"
		  "  --server URL             CERTCTL_SERVER_URL "
		  "(https://localhost:8443)\n"
		  "  --api-key KEY            CERTCTL_API_KEY; the variable "
		  "keeps it out of ps\n"
		  "  --ca-bundle FILE         CERTCTL_SERVER_CA_BUNDLE_PATH\n"
		  "  --insecure               skip verification of the server\n"
		  "\nexit codes: 0 done, 1 failed, 2 usage, 3 not found, "
		  "4 not allowed, 5 conflict, 6 unreachable\n");
}

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

static bool
wants(const char *word, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], word) == 0)
			return true;
	}
	return false;
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
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
		out_error("curl cannot be used");
		return EXIT_FAILED;
	}
	exit_code = m->run(c);
	curl_global_cleanup();
	return exit_code;
}

int
main(int argc, char **argv)
{
	struct cli c = {.as_json = false};
	int exit_code = EXIT_DONE;

	argc--;
	argv++;
	if (argc == 0 || wants("--help", argc, argv) ||
	    wants("-h", argc, argv) ||
	    (argc == 1 && strcmp(argv[0], "help") == 0)) {
		help();
	} else if (argc == 1 && strcmp(argv[0], "--version") == 0) {
		out_print("certctl %s\n", CERTCTL_VERSION);
	} else {
		c.arena = arena_new();
		exit_code = run(&c, argc, argv);
		arena_free(c.arena);
	}
	if (!out_flush() && exit_code == EXIT_DONE)
		exit_code = EXIT_FAILED;
	return exit_code;
}
