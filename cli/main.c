/*
 * certctl: the command line over the REST API.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "cli/cli.h"

static void
help(FILE *to)
{
	fputs("certctl - certificates that issue, renew and deploy "
	      "themselves\n\nusage: certctl COMMAND [ARGUMENTS] [OPTIONS]\n\n",
	    to);
	for (size_t i = 0; i < ncommands; i++) {
		const struct command *m = &commands[i];

		fprintf(to, "  %-9s %-7s %s\n                      %s\n",
		    m->noun, m->verb ? m->verb : "", m->arguments, m->help);
	}
	fputs("\noptions of every command:\n"
	      "  -o json, --format json   print the API's answer\n"
	      "  --server URL             CERTCTL_SERVER_URL "
	      "(https://localhost:8443)\n"
	      "  --api-key KEY            CERTCTL_API_KEY; the variable keeps "
	      "it out of ps\n"
	      "  --ca-bundle FILE         CERTCTL_SERVER_CA_BUNDLE_PATH\n"
	      "  --insecure               skip verification of the server\n"
	      "\nexit codes: 0 done, 1 failed, 2 usage, 3 not found, "
	      "4 not allowed, 5 conflict, 6 unreachable\n",
	    to);
}

static const char *
setting(const char *given, const char *variable, const char *dflt)
{
	const char *value = given ? given : getenv(variable);

	return value && value[0] ? value : dflt;
}

static bool
take_options(struct cli *c, int *argc, char **argv)
{
	const char *format = args_option(argc, argv, "-o");
	const char *insecure;

	if (!format)
		format = args_option(argc, argv, "--format");
	if (format && strcmp(format, "json") && strcmp(format, "table")) {
		fprintf(stderr,
		    "certctl: the format is json or table, not "
		    "\"%s\"\n",
		    format);
		return false;
	}
	c->as_json = format && strcmp(format, "json") == 0;
	c->server = setting(args_option(argc, argv, "--server"),
	    "CERTCTL_SERVER_URL", "https://localhost:8443");
	c->api_key = setting(args_option(argc, argv, "--api-key"),
	    "CERTCTL_API_KEY", "");
	c->ca_file = setting(args_option(argc, argv, "--ca-bundle"),
	    "CERTCTL_SERVER_CA_BUNDLE_PATH", "");
	insecure = setting(NULL, "CERTCTL_SERVER_TLS_INSECURE_SKIP_VERIFY", "");
	c->insecure = args_flag(argc, argv, "--insecure") ||
		      strcasecmp(insecure, "true") == 0;
	if (strncmp(c->server, "https://", 8) != 0) {
		fprintf(stderr,
		    "certctl: the server's URL is \"%s\"; it must "
		    "begin with https://\n",
		    c->server);
		return false;
	}
	return true;
}

static const struct command *
find(int argc, char **argv)
{
	for (size_t i = 0; i < ncommands; i++) {
		const struct command *m = &commands[i];

		if (argc > 0 && strcmp(argv[0], m->noun) == 0 &&
		    (!m->verb || (argc > 1 && strcmp(argv[1], m->verb) == 0)))
			return m;
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	struct cli c = {.as_json = false};
	const struct command *m;
	int skip, exit_code;

	argc--;
	argv++;
	if (argc == 0 || strcmp(argv[0], "help") == 0 ||
	    args_flag(&argc, argv, "--help") || args_flag(&argc, argv, "-h")) {
		help(stdout);
		return EXIT_DONE;
	}
	if (args_flag(&argc, argv, "--version")) {
		printf("certctl %s\n", CERTCTL_VERSION);
		return EXIT_DONE;
	}
	if (!take_options(&c, &argc, argv))
		return EXIT_USAGE;
	m = find(argc, argv);
	if (!m) {
		fprintf(stderr, "certctl: there is no command \"%s%s%s\"\n\n",
		    argc ? argv[0] : "", argc > 1 ? " " : "",
		    argc > 1 ? argv[1] : "");
		help(stderr);
		return EXIT_USAGE;
	}
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return EXIT_FAILED;
	c.arena = arena_new();
	skip = m->verb ? 2 : 1;
	exit_code = m->run(&c, argc - skip, argv + skip);
	arena_free(c.arena);
	curl_global_cleanup();
	return exit_code;
}
