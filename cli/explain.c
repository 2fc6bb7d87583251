/*
 * explain: why a certificate, job or target is not ready, since when, what
 * happens next and what to do; then all that it depends on, in the order of
 * the walk.  The server says it; exit code 0 is "ready", 1 "not ready".
 */
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/names.h"
#include "cli/out.h"
#include "cli/render.h"
#include "cli/watch.h"
#include "common/base/attr.h"
#include "common/json/json.h"

#define HTTP_OK 200
#define HTTP_BAD_REQUEST 400
#define HTTP_NOT_FOUND 404
#define JOB_PREFIX "job-" /* ids of jobs are the server's */

static const struct {
	const char *kind, *noun; /* whose names are looked for, or NULL */
} kinds[] = {{"certificate", "certs"}, {"job", NULL}, {"target", "targets"}};

struct subject {
	const char *kind, *id;
};

static struct answer
look(struct cli *c, const char *kind, const char *id)
{
	return client_call(c, "GET",
	    arena_printf(c->arena, "/api/v1/explain/%s/%s", kind,
		client_escape(c, id)),
	    NULL);
}

/* Nothing has it as its id, or it can be none. */
static bool
is_no_id(const struct answer *a)
{
	return a->status == HTTP_NOT_FOUND || a->status == HTTP_BAD_REQUEST;
}

static int
refuse_two(const char *what, const char *word)
{
	out_error("a certificate and a target have the %s %s; say which: "
		  "certctl explain certificate %s",
	    what, word, word);
	return EXIT_USAGE;
}

/* What has the word as its name, once nothing has it as its id. */
static int
find_by_name(struct cli *c, const char *word, struct subject *out)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const char *id = word;
		int exit_code = kinds[i].noun
				    ? names_find(c, kinds[i].noun, &id)
				    : EXIT_DONE;

		if (exit_code != EXIT_DONE)
			return exit_code;
		if (id == word)
			continue;
		*out = (struct subject){kinds[i].kind, id};
		n++;
	}
	if (n == 1)
		return EXIT_DONE;
	if (n > 1)
		return refuse_two("name", word);
	out_error("no certificate, job or target has the id or name %s; see "
		  "certctl certs list, certctl targets list",
	    word);
	return EXIT_NOT_FOUND;
}

/* Of a word without a kind: whose it is.  EXIT_DONE and the answer. */
static int
find(struct cli *c, const char *word, struct subject *out, struct answer *a)
{
	struct answer certificate, target;
	int exit_code;

	*out = (struct subject){"job", word};
	if (strncmp(word, JOB_PREFIX, strlen(JOB_PREFIX)) == 0) {
		*a = look(c, out->kind, word);
		return client_check_json(c, a);
	}
	certificate = look(c, "certificate", word);
	if (certificate.status != HTTP_OK && !is_no_id(&certificate))
		return client_check_json(c, &certificate);
	target = look(c, "target", word);
	if (certificate.status == HTTP_OK && target.status == HTTP_OK)
		return refuse_two("id", word);
	if (is_no_id(&certificate) && is_no_id(&target)) {
		exit_code = find_by_name(c, word, out);
		if (exit_code != EXIT_DONE)
			return exit_code;
		*a = look(c, out->kind, out->id);
		return client_check_json(c, a);
	}
	out->kind = certificate.status == HTTP_OK ? "certificate" : "target";
	*a = certificate.status == HTTP_OK ? certificate : target;
	return client_check_json(c, a);
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
look_first(struct cli *c, struct subject *out, struct answer *a)
{
	int exit_code = EXIT_DONE;
	size_t i = 0;

	if (args_count(c) == 1)
		return find(c, args_word(c, 0), out, a);
	while (
	    i < ARRAY_LEN(kinds) && strcmp(kinds[i].kind, args_word(c, 0)) != 0)
		i++;
	if (i == ARRAY_LEN(kinds)) {
		out_error("a certificate, job or target can be explained, not "
			  "a \"%s\"",
		    args_word(c, 0));
		return EXIT_USAGE;
	}
	*out = (struct subject){kinds[i].kind, args_word(c, 1)};
	*a = look(c, out->kind, out->id);
	if (is_no_id(a) && kinds[i].noun)
		exit_code = names_find(c, kinds[i].noun, &out->id);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (out->id != args_word(c, 1))
		*a = look(c, out->kind, out->id);
	return client_check_json(c, a);
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
go_on(struct cli *c, const struct subject *s, const struct answer *a)
{
	const char *kind = s->kind, *id = client_escape(c, s->id);
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
	struct subject subject;
	struct answer a;
	int exit_code = watch_check(c);
	bool ready;

	if (exit_code == EXIT_DONE)
		exit_code = look_first(c, &subject, &a);
	if (exit_code == EXIT_DONE)
		exit_code = show(c, &a, &ready);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (watch_is_wanted(c))
		return go_on(c, &subject, &a);
	return ready ? EXIT_DONE : EXIT_FAILED;
}
