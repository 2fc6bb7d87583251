/*
 * context add: a server by name, and why it is trusted: a CA in a file, the
 * system's roots, or a fingerprint that somebody compared with what the
 * server's own host says.  It is asked once, under that trust, before anything
 * is kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/cmd_context.h"
#include "cli/contexts.h"
#include "cli/first_contact.h"
#include "cli/key_of.h"
#include "cli/out.h"
#include "cli/term.h"
#include "common/base/file.h"
#include "common/base/plain.h"

enum { CA_BYTES_MAX = 512 * 1024 };

static int
bad_usage(const char *why)
{
	out_error("%s", why);
	return EXIT_USAGE;
}

static const char *
given(const struct cli *c, const char *option, const char *variable)
{
	const char *value = args_value(c, option);

	if (!value)
		value = getenv(variable);
	return value ? value : "";
}

/* --- trust --- */

static int
read_ca(struct cli *c, const char *file, const char **out_pem)
{
	char *text = NULL;
	rc ret = file_read(c->arena, file, CA_BYTES_MAX, &text, NULL);

	if (ret != RC_OK || !strstr(text, "-----BEGIN CERTIFICATE-----")) {
		out_error("%s: it can't be read, is larger than %d KiB, or "
			  "holds no certificate",
		    file, CA_BYTES_MAX / 1024);
		return EXIT_FAILED;
	}
	*out_pem = text;
	return EXIT_DONE;
}

static void
tell_shown(const char *server, const struct first_contact *f)
{
	out_tell("%s shows", server);
	for (size_t i = 0; i < f->n; i++)
		out_tell("  %s %s\n    SHA-256 %s",
		    f->certs[i].is_ca ? "the CA" : "the certificate of",
		    f->certs[i].subject, f->certs[i].fingerprint_sha256);
}

static int
compare(const char *server, const char *fingerprint,
    const struct first_contact *f, const struct first_contact_cert **out)
{
	*out = first_contact_find(f, fingerprint);
	if (*out)
		return EXIT_DONE;
	tell_shown(server, f);
	out_error("none of them has the fingerprint %s: this is another "
		  "server, or somebody stands between; nothing was kept",
	    fingerprint);
	return EXIT_FAILED;
}

/* By somebody who can look at the server's own host. */
static int
ask(const char *server, const struct first_contact *f,
    const struct first_contact_cert **out)
{
	const struct first_contact_cert *top = &f->certs[f->n - 1];
	char line[8];

	tell_shown(server, f);
	out_tell("On the server's host: openssl x509 -noout -fingerprint "
		 "-sha256 -in FILE, of the API's certificate or its CA.");
	if (!term_can_ask()) {
		out_error("the fingerprint was not compared; nothing was "
			  "kept");
		out_tell("Compare it, then give it: --fingerprint %s",
		    top->fingerprint_sha256);
		return EXIT_USAGE;
	}
	out_tell("Is %s what the host says? [y/N]", top->fingerprint_sha256);
	if (fgets(line, sizeof(line), stdin) == NULL ||
	    (line[0] != 'y' && line[0] != 'Y')) {
		out_error("nothing was kept");
		return EXIT_FAILED;
	}
	*out = top;
	return EXIT_DONE;
}

/* From what the server shows. */
static int
first_trust(struct cli *c, const char *server, const char **out_pem)
{
	const char *said = args_value(c, "--fingerprint");
	const struct first_contact_cert *cert = NULL;
	struct first_contact shown;
	char fingerprint[65];
	int exit_code;

	if (said && !first_contact_read_fingerprint(said, fingerprint))
		return bad_usage("--fingerprint is a SHA-256 of 64 hex digits");
	exit_code = first_contact(c, server, &shown);
	if (exit_code == EXIT_DONE)
		exit_code = said ? compare(server, fingerprint, &shown, &cert)
				 : ask(server, &shown, &cert);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (!cert->is_ca)
		out_tell("This is the server's own certificate: once it is "
			 "renewed it must be compared again. The fingerprint "
			 "of its CA stays.");
	*out_pem = cert->pem;
	return EXIT_DONE;
}

static int
find_trust(struct cli *c, const char *server, const char **out_pem)
{
	const char *file =
	    given(c, "--ca-bundle", "CERTCTL_SERVER_CA_BUNDLE_PATH");
	bool is_system = args_flag(c, "--system-roots");
	bool has_print = args_value(c, "--fingerprint") != NULL;

	if (is_system + has_print + (args_value(c, "--ca-bundle") != NULL) > 1)
		return bad_usage("of --fingerprint, --ca-bundle and "
				 "--system-roots one is enough");
	*out_pem = "";
	if (is_system)
		return EXIT_DONE;
	if (file[0] && !has_print)
		return read_ca(c, file, out_pem);
	return first_trust(c, server, out_pem);
}

/* --- the one call --- */

/* As each later one: with that trust, and the server's name checked. */
static int
try_it(struct cli *c, const struct context *x)
{
	struct answer a;

	c->server = x->server;
	c->api_key = x->api_key;
	c->ca_file = "";
	c->ca_pem = x->ca_pem;
	a = client_call(c, "GET", "/ready", NULL);
	/* Not ready for work, but there, and one of ours. */
	if (a.status == 503 && a.json)
		return EXIT_DONE;
	return client_check_json(c, &a);
}

static int
keep(struct cli *c, const struct context *x, bool *out_is_current)
{
	bool is_dry = args_flag(c, "--dry-run");
	struct contexts s;
	struct context old;
	int exit_code = contexts_begin(c, !is_dry, &s);

	if (exit_code != EXIT_DONE)
		return exit_code;
	if (contexts_find(&s, x->name, &old) && !args_flag(c, "--replace")) {
		out_error("there is a context \"%s\" already, for %s", x->name,
		    out_harmless(c->arena, old.server));
		out_tell("--replace takes its place.");
		exit_code = EXIT_CONFLICT;
	} else {
		contexts_put(&s, x);
		if (contexts_current(&s)[0] == '\0')
			contexts_set_current(&s, x->name);
		*out_is_current = strcmp(contexts_current(&s), x->name) == 0;
		if (!is_dry)
			exit_code = contexts_save(&s);
	}
	contexts_end(&s);
	return exit_code;
}

int
cmd_context_add(struct cli *c)
{
	struct context x = {.name = args_word(c, 0),
	    .server = given(c, "--server", "CERTCTL_SERVER_URL"),
	    .api_key = given(c, "--api-key", "CERTCTL_API_KEY")};
	bool is_current = false, is_dry = args_flag(c, "--dry-run");
	int exit_code;

	if (!contexts_is_name(x.name))
		return bad_usage("a context's name has letters, digits, dots, "
				 "dashes and underscores, 64 at most");
	if (args_flag(c, "--insecure") || args_value(c, "--context"))
		return bad_usage("--insecure and --context are no options "
				 "here");
	if (strncmp(x.server, "https://", 8) != 0)
		return bad_usage("--server is needed, a URL that begins with "
				 "https://");
	if (!plain_is_line(x.api_key) || !plain_is_line(x.server))
		return bad_usage("the key or the URL holds a control "
				 "character, or one that can't be seen");
	if (!key_of_may_go(c, x.server, NULL))
		return EXIT_USAGE;
	exit_code = find_trust(c, x.server, &x.ca_pem);
	if (exit_code == EXIT_DONE)
		exit_code = try_it(c, &x);
	if (exit_code == EXIT_DONE)
		exit_code = keep(c, &x, &is_current);
	if (exit_code != EXIT_DONE)
		return exit_code;
	context_tell_done(c,
	    is_dry
		? arena_printf(c->arena, "%s would be kept, for %s, %s a key",
		      x.name, out_harmless(c->arena, x.server),
		      x.api_key[0] ? "with" : "without")
	    : is_current ? arena_printf(c->arena,
			       "%s is kept, and is the one in use", x.name)
			 : arena_printf(c->arena,
			       "%s is kept; certctl context use %s makes it "
			       "the one in use",
			       x.name, x.name));
	return EXIT_DONE;
}
