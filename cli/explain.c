/*
 * explain: why a certificate, job or target is not ready, since when, what
 * happens next and what to do; then all that it depends on, in the order of
 * the walk.  The server says it; exit code 0 is "ready", 1 "not ready".
 */
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/render.h"
#include "cli/watch.h"
#include "common/base/attr.h"
#include "common/json/json.h"

#define HTTP_OK 200
#define HTTP_NOT_FOUND 404
#define JOB_PREFIX "job-" /* ids of jobs are the server's */

static struct answer
look(struct cli *c, const char *kind, const char *id)
{
	return client_call(c, "GET",
	    arena_printf(c->arena, "/api/v1/explain/%s/%s", kind,
		client_escape(c, id)),
	    NULL);
}

/* Of an id without a kind: whose it is.  EXIT_DONE and the answer. */
static int
find(struct cli *c, const char *id, const char **out_kind, struct answer *out)
{
	struct answer certificate, target;

	if (strncmp(id, JOB_PREFIX, strlen(JOB_PREFIX)) == 0) {
		*out_kind = "job";
		*out = look(c, *out_kind, id);
		return client_check_json(c, out);
	}
	certificate = look(c, "certificate", id);
	if (certificate.status != HTTP_OK &&
	    certificate.status != HTTP_NOT_FOUND)
		return client_check_json(c, &certificate);
	target = look(c, "target", id);
	if (certificate.status == HTTP_OK && target.status == HTTP_OK) {
		out_error("a certificate and a target have the id %s; say "
			  "which: certctl explain certificate %s",
		    id, id);
		return EXIT_USAGE;
	}
	if (certificate.status == HTTP_NOT_FOUND &&
	    target.status == HTTP_NOT_FOUND) {
		out_error("no certificate, job or target has the id %s; see "
			  "certctl certs list, certctl targets list",
		    id);
		return EXIT_NOT_FOUND;
	}
	*out_kind = certificate.status == HTTP_OK ? "certificate" : "target";
	*out = certificate.status == HTTP_OK ? certificate : target;
	return client_check_json(c, out);
}

/* --- for people --- */

static bool
has(struct cli *c, const struct cJSON *object, const char *name)
{
	return strcmp(cell(c, object, name), "-") != 0;
}

static void
print_part(struct cli *c, const char *indent, const char *label,
    const struct cJSON *object, const char *name)
{
	if (has(c, object, name))
		out_print("%s%-6s %s\n", indent, label, cell(c, object, name));
}

/* What was said is not said twice where the sentence has it. */
static void
print_words(struct cli *c, const char *indent, const struct cJSON *object,
    const char *sentence)
{
	if (has(c, object, "since"))
		out_print("%s%-6s %s UTC\n", indent, "since",
		    cell_time(c, object, "since"));
	if (!strstr(sentence, cell(c, object, "said")))
		print_part(c, indent, "said", object, "said");
	print_part(c, indent, "next", object, "next");
	print_part(c, indent, "do", object, "advice");
}

static void
print_step(struct cli *c, const struct cJSON *whole, const struct cJSON *step)
{
	const char *state = cell(c, step, "state");
	const char *text = cell(c, step, "text");
	bool is_told =
	    strcmp(cell(c, step, "code"), cell(c, whole, "code")) == 0 &&
	    strcmp(cell(c, step, "id"), cell(c, whole, "subject")) == 0;

	out_print("%-8s %-12s %s\n", state, cell(c, step, "step"), text);
	if (strcmp(state, "ok") != 0 && !is_told)
		print_words(c, "                      ", step, text);
}

static void
print_all(struct cli *c, const struct cJSON *whole)
{
	const struct cJSON *step;

	out_print("%s\n", cell(c, whole, "verdict"));
	print_words(c, "  ", whole, cell(c, whole, "verdict"));
	out_print("\n");
	cJSON_ArrayForEach(step, json_get(whole, "steps"))
	    print_step(c, whole, step);
}

/* --- all of it --- */

/* EXIT_DONE and the answer. */
static int
look_first(struct cli *c, const char **out_kind, struct answer *out)
{
	static const char *const kinds[] = {"certificate", "job", "target"};
	size_t i = 0;

	if (args_count(c) == 1)
		return find(c, args_word(c, 0), out_kind, out);
	while (i < ARRAY_LEN(kinds) && strcmp(kinds[i], args_word(c, 0)) != 0)
		i++;
	if (i == ARRAY_LEN(kinds)) {
		out_error("a certificate, job or target can be explained, not "
			  "a \"%s\"",
		    args_word(c, 0));
		return EXIT_USAGE;
	}
	*out_kind = kinds[i];
	*out = look(c, kinds[i], args_word(c, 1));
	return client_check_json(c, out);
}

static int
show(struct cli *c, const struct answer *a, bool *out_ready)
{
	rc ret;

	ret = json_bool(a->json, "ready", out_ready);
	if (ret != RC_OK) {
		out_error("the server's answer does not say whether it is "
			  "ready: is it of this release?");
		return EXIT_FAILED;
	}
	if (c->as_json)
		render_text(c, a->text);
	else
		print_all(c, a->json);
	return EXIT_DONE;
}

/* --- --watch --- */

static int
look_again(struct cli *c, const char *path, struct answer *out)
{
	*out = client_call(c, "GET", path, NULL);
	return EXIT_DONE;
}

static int
show_again(struct cli *c, const struct answer *a)
{
	int exit_code = client_check_json(c, a);
	bool ready;

	return exit_code == EXIT_DONE ? show(c, a, &ready) : exit_code;
}

/* All but when it was asked. */
static const char *
sign(struct cli *c, const struct answer *a)
{
	struct cJSON *copy = cJSON_Duplicate(a->json, true);
	const char *text;

	cJSON_DeleteItemFromObjectCaseSensitive(copy, "at");
	text = json_text(c->arena, copy);
	cJSON_Delete(copy);
	return text;
}

/* By what is its own; agents, lanes and issuers on the way tell of it by their
 * jobs, else the stream's beats have it looked at. */
static int
go_on(struct cli *c, const char *kind, const struct answer *a)
{
	const char *id = client_escape(c, args_word(c, args_count(c) - 1));
	const struct watched of = {
	    .path = arena_printf(c->arena, "/api/v1/explain/%s/%s", kind, id),
	    .filter = arena_printf(c->arena, "kind=%s&%s_id=%s",
		args_command(c)->watches, kind, id),
	    .look = look_again,
	    .show = show_again,
	    .sign = sign,
	};

	return watch_go_on(c, &of, a);
}

int
cmd_explain(struct cli *c)
{
	const char *kind = NULL;
	struct answer a;
	int exit_code = watch_check(c);
	bool ready;

	if (exit_code == EXIT_DONE)
		exit_code = look_first(c, &kind, &a);
	if (exit_code == EXIT_DONE)
		exit_code = show(c, &a, &ready);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (watch_is_wanted(c))
		return go_on(c, kind, &a);
	return ready ? EXIT_DONE : EXIT_FAILED;
}
