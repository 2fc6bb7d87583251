#include "cli/settings.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/contexts.h"
#include "cli/key_of.h"
#include "cli/out.h"
#include "cli/render.h"
#include "common/base/plain.h"

static const char *
setting(const char *given, const char *variable, const char *dflt)
{
	const char *value = given ? given : getenv(variable);

	return value && value[0] ? value : dflt;
}

/* Of -o, --output, --format and --json, which are the same, at most one. */
static bool
take_format(struct cli *c)
{
	static const char *const names[] = {"-o", "--output", "--format"};
	const char *format = args_flag(c, "--json") ? "json" : NULL, *value;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		value = args_value(c, names[i]);
		if (value && format) {
			out_error("-o, --output, --format and --json are the "
				  "same: give one");
			return false;
		}
		if (value)
			format = value;
	}
	return !format || render_take_format(c, format);
}

static bool
take_fields(struct cli *c)
{
	const char *list = args_value(c, "--fields");

	if (!list)
		return true;
	if (c->format == FORMAT_NAME) {
		out_error("--fields does not go with -o name, which prints "
			  "ids alone");
		return false;
	}
	return render_take_fields(c, list);
}

static void
take_color(const struct cli *c)
{
	const char *word = args_value(c, "--color");

	if (word && strcmp(word, "always") == 0)
		term_set_color(TERM_COLOR_ALWAYS);
	else if (word && strcmp(word, "never") == 0)
		term_set_color(TERM_COLOR_NEVER);
}

/* What becomes a line of a request must be one. */
static bool
is_line(const char *what, const char *value)
{
	const char *why = plain_why_no_line(value);

	if (!why)
		return true;
	out_error("%s holds %s", what, why);
	return false;
}

/* --- the server --- */

static bool
take_insecure(struct cli *c)
{
	const char *insecure =
	    setting(NULL, "CERTCTL_SERVER_TLS_INSECURE_SKIP_VERIFY", "");

	c->insecure =
	    args_flag(c, "--insecure") || strcasecmp(insecure, "true") == 0;
	if (c->insecure || !insecure[0] || strcasecmp(insecure, "false") == 0)
		return true;
	out_error("CERTCTL_SERVER_TLS_INSECURE_SKIP_VERIFY is true or false, "
		  "not \"%s\"",
	    insecure);
	return false;
}

/* A context's key goes to its own server and to no other. */
static bool
take_context(struct cli *c, const struct context *x)
{
	if (c->server[0] && !key_of_same(c->server, x->server)) {
		out_error("the context \"%s\" is of %s, and --server or "
			  "CERTCTL_SERVER_URL says %s: give one of them",
		    x->name, out_harmless(c->arena, x->server), c->server);
		return false;
	}
	c->server = x->server;
	if (!c->api_key[0])
		c->api_key = x->api_key;
	if (!c->ca_file[0])
		c->ca_pem = x->ca_pem;
	return true;
}

/* The context that is named; else, where no server is, the one in use.  Its
 * name stays NULL where there is none. */
static bool
find_context(struct cli *c, struct context *out)
{
	const char *name =
	    setting(args_value(c, "--context"), "CERTCTL_CONTEXT", "");
	bool is_named = name[0] != '\0', ok = true;
	struct contexts s;

	if (!is_named && (c->server[0] || !contexts_may_be(c)))
		return true;
	if (contexts_begin(c, false, &s) != EXIT_DONE)
		return false;
	if (!is_named)
		name = contexts_current(&s);
	if (name[0] && contexts_find(&s, name, out)) {
		ok = take_context(c, out);
	} else if (name[0]) {
		out_error("there is no context \"%s\"; certctl context list "
			  "shows them",
		    name);
		ok = false;
	}
	contexts_end(&s);
	return ok;
}

static bool
take_server(struct cli *c)
{
	struct context x = {0};

	c->server =
	    setting(args_value(c, "--server"), "CERTCTL_SERVER_URL", "");
	c->api_key = setting(args_value(c, "--api-key"), "CERTCTL_API_KEY", "");
	c->ca_file = setting(args_value(c, "--ca-bundle"),
	    "CERTCTL_SERVER_CA_BUNDLE_PATH", "");
	if (!take_insecure(c) || !find_context(c, &x))
		return false;
	if (!c->server[0])
		c->server = "https://localhost:8443";
	if (strncmp(c->server, "https://", 8) != 0) {
		out_error("the server's URL is \"%s\"; it must begin with "
			  "https://",
		    c->server);
		return false;
	}
	return is_line("the API key", c->api_key) &&
	       is_line("the server's URL", c->server) &&
	       key_of_may_go(c, c->server, x.name ? &x : NULL);
}

bool
settings_take(struct cli *c)
{
	const struct command *m = args_command(c);
	bool asks_server = !m || !(m->flags & COMMAND_OFFLINE);

	take_color(c);
	return take_format(c) && take_fields(c) &&
	       (!asks_server || take_server(c));
}

bool
settings_want_json(int argc, char **argv)
{
	static const char *const names[] = {"-o", "--output", "--format"};

	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--json") == 0)
			return true;
		for (size_t k = 0; k < ARRAY_LEN(names); k++) {
			size_t n = strlen(names[k]);

			if (strncmp(argv[i], names[k], n) != 0)
				continue;
			if (argv[i][n] == '\0' && i + 1 < argc &&
			    strcasecmp(argv[i + 1], "json") == 0)
				return true;
			if (argv[i][n] == '=' &&
			    strcasecmp(argv[i] + n + 1, "json") == 0)
				return true;
		}
	}
	return false;
}
