/*
 * context: servers by name.  A server is trusted by its CA, which is kept with
 * it: one that was named, or the one whose fingerprint somebody compared.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/cmd_context.h"
#include "cli/contexts.h"
#include "cli/out.h"
#include "cli/render.h"
#include "common/json/json.h"
#include "common/pki/cert/cert.h"

static int
bad_usage(const char *why)
{
	out_error("%s", why);
	return EXIT_USAGE;
}

void
context_tell_done(struct cli *c, const char *what)
{
	bool is_dry = args_flag(c, "--dry-run");

	if (is_dry)
		out_tell("--dry-run: nothing was kept");
	if (c->as_json)
		render_text(c, is_dry ? "{\"dry_run\":true}" : "{}");
	else
		out_print("%s\n", what);
}

/* These are of a call, and of context add. */
static int
refuse_settings(const struct cli *c)
{
	static const char *const names[] = {"--server", "--api-key",
	    "--ca-bundle", "--context"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (args_value(c, names[i])) {
			out_error("%s is no option here: no server is asked",
			    names[i]);
			return EXIT_USAGE;
		}
	}
	if (args_flag(c, "--insecure"))
		return bad_usage("--insecure is no option here");
	return EXIT_DONE;
}

static int
no_context(const char *name)
{
	out_error("there is no context \"%s\"", name);
	out_tell("certctl context list shows them; certctl context add %s "
		 "makes it.",
	    name);
	return EXIT_NOT_FOUND;
}

/* The file, to be looked at or to be changed. */
static int
begin(struct cli *c, bool to_change, struct contexts *out)
{
	int exit_code = refuse_settings(c);

	return exit_code == EXIT_DONE ? contexts_begin(c, to_change, out)
				      : exit_code;
}

/* --- list, show --- */

/* Of the first certificate of its trust; "" : the system's roots. */
static const char *
fingerprint_of(struct cli *c, const struct context *x)
{
	struct cert_info info;
	X509 *ca = NULL;
	rc ret;

	if (x->ca_pem[0] == '\0')
		return "";
	ret = cert_from_pem(x->ca_pem, strlen(x->ca_pem), &ca);
	if (ret != RC_OK)
		return "";
	ret = cert_read(c->arena, ca, &info);
	X509_free(ca);
	return ret == RC_OK ? arena_strdup(c->arena, info.fingerprint_sha256)
			    : "";
}

/* A key is never printed, only that there is one. */
static void
write_context(struct cli *c, struct json_w *w, const struct context *x,
    const char *current)
{
	json_w_open(w, '{');
	json_w_kv(w, "name", x->name);
	json_w_kv(w, "server", x->server);
	json_w_kv_bool(w, "current", strcmp(x->name, current) == 0);
	json_w_kv_bool(w, "has_api_key", x->api_key[0] != '\0');
	json_w_kv(w, "trust", x->ca_pem[0] ? "its own CA" : "system's roots");
	json_w_kv_opt(w, "ca_fingerprint_sha256", fingerprint_of(c, x));
	json_w_close(w, '}');
}

/* What was written, as text in the arena and parsed. */
static const struct cJSON *
parse(struct cli *c, struct buf *b, const char **out_text)
{
	const struct cJSON *json = NULL;
	const char *why;

	*out_text = arena_strdup(c->arena, buf_cstr(b));
	buf_fini(b);
	if (json_parse(c->arena, *out_text, strlen(*out_text), &json, &why) !=
	    RC_OK)
		abort(); /* we wrote it */
	return json;
}

int
cmd_context_list(struct cli *c)
{
	struct answer a = {.status = 200};
	struct contexts s;
	struct json_w w;
	struct buf b;
	int exit_code = begin(c, false, &s);

	if (exit_code != EXIT_DONE)
		return exit_code;
	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_key(&w, "data");
	json_w_open(&w, '[');
	for (size_t i = 0; i < contexts_count(&s); i++) {
		struct context x = contexts_at(&s, i);

		write_context(c, &w, &x, contexts_current(&s));
	}
	json_w_close(&w, ']');
	json_w_kv_int(&w, "total", (int64_t)contexts_count(&s));
	json_w_close(&w, '}');
	contexts_end(&s);
	a.json = parse(c, &b, &a.text);
	return call_list_show(c, &a);
}

int
cmd_context_show(struct cli *c)
{
	static const char *const members[] = {"name", "server", "current",
	    "has_api_key", "trust", "ca_fingerprint_sha256"};
	const struct cJSON *json;
	struct contexts s;
	struct context x;
	struct json_w w;
	const char *text, *name;
	struct buf b;
	int exit_code = begin(c, false, &s);

	if (exit_code != EXIT_DONE)
		return exit_code;
	name = args_count(c) > 0 ? args_word(c, 0) : contexts_current(&s);
	contexts_end(&s);
	if (name[0] == '\0') {
		out_error("no context is in use");
		out_tell("certctl context use NAME sets one.");
		return EXIT_NOT_FOUND;
	}
	if (!contexts_find(&s, name, &x))
		return no_context(name);
	buf_init(&b, 0);
	json_w_init(&w, &b);
	write_context(c, &w, &x, contexts_current(&s));
	json = parse(c, &b, &text);
	render_object(c, json, text, members, ARRAY_LEN(members));
	return EXIT_DONE;
}

/* --- use, remove --- */

/* Of the context that the first word names, which is in the file; EXIT_DONE:
 * the file is written anew. */
typedef int change(struct cli *c, struct contexts *s, const struct context *x);

static int
change_one(struct cli *c, change *how, const char *is, const char *would)
{
	const char *name = args_word(c, 0);
	bool is_dry = args_flag(c, "--dry-run");
	struct contexts s;
	struct context x;
	int exit_code = begin(c, !is_dry, &s);

	if (exit_code != EXIT_DONE)
		return exit_code;
	exit_code =
	    contexts_find(&s, name, &x) ? how(c, &s, &x) : no_context(name);
	if (exit_code == EXIT_DONE && !is_dry)
		exit_code = contexts_save(&s);
	contexts_end(&s);
	if (exit_code == EXIT_DONE)
		context_tell_done(c,
		    arena_printf(c->arena, "%s %s", name, is_dry ? would : is));
	return exit_code;
}

static int
use(struct cli *c, struct contexts *s, const struct context *x)
{
	(void)c;
	contexts_set_current(s, x->name);
	return EXIT_DONE;
}

/* The environment is asked before the file. */
static void
tell_what_wins(void)
{
	static const char *const names[] = {"CERTCTL_CONTEXT",
	    "CERTCTL_SERVER_URL"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = getenv(names[i]);

		if (value && value[0])
			out_tell("%s is set and goes before it: unset it to "
				 "have this context asked.",
			    names[i]);
	}
}

int
cmd_context_use(struct cli *c)
{
	int exit_code =
	    change_one(c, use, "is in use", "would be the one in use");

	if (exit_code == EXIT_DONE)
		tell_what_wins();
	return exit_code;
}

/* The key in it may be kept nowhere else. */
static int
take_out(struct cli *c, struct contexts *s, const struct context *x)
{
	int exit_code = EXIT_DONE;

	if (x->api_key[0] && !args_flag(c, "--yes") &&
	    !args_flag(c, "--dry-run"))
		exit_code = confirm();
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (strcmp(contexts_current(s), x->name) == 0)
		contexts_set_current(s, "");
	contexts_remove(s, args_word(c, 0));
	return EXIT_DONE;
}

int
cmd_context_remove(struct cli *c)
{
	return change_one(c, take_out, "is removed", "would be removed");
}
