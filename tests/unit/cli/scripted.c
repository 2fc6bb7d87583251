#include "tests/unit/cli/scripted.h"

#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/listing.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "common/base/mem.h"
#include "common/json/json.h"
#include "tests/unit/cli/capture.h"

#define ROWS_MAX 64
#define CALLS_MAX 1024
#define WORDS_MAX 32

static struct {
	const char *what, *text;
	int status;
	size_t left;
} rows[ROWS_MAX];
static size_t nrows, ncalls;
static char calls[CALLS_MAX][512], last_body[4096];
static struct arena *run_arena;

void
scripted_begin(void)
{
	nrows = ncalls = 0;
	last_body[0] = '\0';
}

void
scripted_answer_times(const char *what, int status, const char *text,
    size_t times)
{
	if (nrows == ROWS_MAX)
		errx(2, "too many rows");
	rows[nrows].what = what;
	rows[nrows].status = status;
	rows[nrows].text = text;
	rows[nrows++].left = times;
}

void
scripted_answer(const char *what, int status, const char *text)
{
	scripted_answer_times(what, status, text, SIZE_MAX);
}

const char *
scripted_asked(size_t i)
{
	return i < ncalls ? calls[i] : NULL;
}

size_t
scripted_count(const char *what)
{
	size_t n = 0;

	for (size_t i = 0; i < ncalls; i++)
		n += strncmp(calls[i], what, strlen(what)) == 0;
	return n;
}

const char *
scripted_body(void)
{
	return last_body;
}

struct answer
client_call(struct cli *c, const char *method, const char *path,
    const char *body)
{
	struct answer a = {.error = "nobody answers"};
	const char *why;
	size_t i = 0;
	char *call;

	if (ncalls == CALLS_MAX)
		errx(2, "too many calls");
	call = calls[ncalls++];
	(void)snprintf(call, sizeof(calls[0]), "%s %s", method, path);
	if (body)
		(void)snprintf(last_body, sizeof(last_body), "%s", body);
	while (i < nrows &&
	       (rows[i].left == 0 ||
		   strncmp(call, rows[i].what, strlen(rows[i].what)) != 0))
		i++;
	if (i == nrows)
		errx(2, "no answer to \"%s\"", call);
	rows[i].left--;
	a.status = rows[i].status;
	a.text = rows[i].text;
	if (a.status && json_parse(c->arena, a.text, strlen(a.text), &a.json,
			    &why) != RC_OK)
		a.json = NULL;
	return a;
}

struct answer
client_stream(struct cli *c, const char *path, const char *last_id,
    bool (*take)(void *arg, const char *bytes, size_t n), void *arg)
{
	struct answer a = client_call(c, "GET", path, NULL);

	(void)last_id;
	if (a.status == 200)
		(void)take(arg, a.text, strlen(a.text));
	return a;
}

/* Each run is given what one row has; without rows the server is older than
 * events. */
struct client_listen {
	struct cli *cli;
	const char *path;
	bool (*take)(void *arg, const char *bytes, size_t n);
	void *arg;
};

struct client_listen *
client_listen_new(struct cli *c, const char *path, const char *last_id,
    bool (*take)(void *arg, const char *bytes, size_t n), void *arg)
{
	struct client_listen *l = mem_zalloc(sizeof(*l));

	(void)last_id;
	*l = (struct client_listen){c, path, take, arg};
	return l;
}

bool
client_listen_run(struct client_listen *l, int64_t ms, struct answer *out)
{
	*out = (struct answer){.status = 404, .text = ""};
	(void)ms;
	for (size_t i = 0; i < nrows; i++) {
		if (rows[i].left > 0 &&
		    strncmp(rows[i].what, "GET /api/v1/events", 18) == 0) {
			*out = client_call(l->cli, "GET", l->path, NULL);
			return out->status == 200 &&
			       l->take(l->arg, out->text, strlen(out->text));
		}
	}
	return false;
}

void
client_listen_free(struct client_listen *l)
{
	free(l);
}

struct answer
client_look(struct cli *c, const char *path, struct arena **held)
{
	struct arena *run = c->arena;
	struct answer a;

	arena_free(*held);
	c->arena = *held = arena_new();
	a = client_call(c, "GET", path, NULL);
	/* What is kept past the next look must have been copied. */
	a.text = arena_strdup(*held, a.text);
	c->arena = run;
	return a;
}

static int
run(const char *line, bool as_json)
{
	struct cli c = {.server = "https://x",
	    .format = as_json ? FORMAT_JSON : FORMAT_TABLE,
	    .as_json = as_json};
	char *argv[WORDS_MAX], *text, *save = NULL;
	const struct command *m;
	int argc = 0, exit_code;

	arena_free(run_arena);
	c.arena = run_arena = arena_new();
	text = arena_strdup(c.arena, line);
	for (char *w = strtok_r(text, " ", &save); w && argc < WORDS_MAX;
	     w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	capture_begin();
	exit_code = args_parse(&c, commands, ncommands, argc, argv, &m);
	if (exit_code == EXIT_DONE)
		exit_code = listing_check(&c);
	if (exit_code == EXIT_DONE)
		exit_code = m->run ? m->run(&c) : call_run(&c);
	capture_end();
	return exit_code;
}

int
scripted_run(const char *line)
{
	return run(line, false);
}

int
scripted_run_json(const char *line)
{
	return run(line, true);
}
