/*
 * top: the control plane at work, as it works: a screen that is made anew every
 * few seconds, or one frame of it as text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/talk.h"
#include "cli/term.h"
#include "cli/top/facts.h"
#include "cli/top/frame.h"
#include "cli/top/screen.h"
#include "cli/top/typed.h"
#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/base/mem.h"

enum { WIDTH_MIN = 40, CALL_SECONDS = 5, ESCAPE = 27 };

struct top {
	struct cli *cli;
	struct facts *before, *now;
	struct frame_view view;
	struct typed filter;
	char fault[256]; /* "" for none */
	char fix[256];   /* what helps; "": nothing is known */
	int64_t pause_ms, next_ms;
	int exit_code; /* of what fault says */
	bool is_over;
};

/* --- what is shown --- */

static void
ask(struct top *t)
{
	const struct arena_mark mark = arena_mark(t->cli->arena);
	struct facts_fault fault = {.why = ""};
	struct facts *f = facts_gather(t->cli, &fault);

	if (f) {
		facts_free(t->before);
		t->before = t->now;
		t->now = f;
		fault = (struct facts_fault){.why = ""};
	}
	t->exit_code = fault.exit_code;
	(void)snprintf(t->fault, sizeof(t->fault), "%s", fault.why);
	(void)snprintf(t->fix, sizeof(t->fix), "%s",
	    fault.fix ? fault.fix : "");
	arena_rewind(t->cli->arena, &mark);
}

static void
show(struct top *t)
{
	struct arena *a = arena_new();
	struct frame frame;

	t->view.filter = t->filter.text;
	t->view.fault = t->fault[0] ? t->fault : NULL;
	screen_size(&t->view.width, &t->view.height);
	frame_make(a, t->before, t->now, &t->view, &frame);
	screen_show(&frame);
	arena_free(a);
}

/* --- keys --- */

static void
type_key(struct top *t, int key)
{
	if (key == '\n' || key == '\r') {
		t->view.is_typing = false;
	} else if (key == ESCAPE) {
		typed_clear(&t->filter);
		t->view.is_typing = false;
	} else if (key == SCREEN_BACKSPACE) {
		typed_back(&t->filter);
	} else if (key > 0) {
		typed_take(&t->filter, (unsigned char)key);
	}
}

static void
take_key(struct top *t, int key)
{
	if (key == SCREEN_GONE) {
		t->is_over = true;
	} else if (t->view.is_typing) {
		type_key(t, key);
	} else if (key == 'q' || key == 'Q') {
		t->is_over = true;
	} else if (key == 'p' || key == ' ') {
		t->view.is_paused = !t->view.is_paused;
		t->next_ms = 0;
	} else if (key == 's') {
		t->view.sort = (t->view.sort + 1) % FRAME_NSORTS;
	} else if (key == '/') {
		t->view.is_typing = true;
	}
}

static void
run(struct top *t)
{
	show(t);
	while (!t->is_over) {
		int64_t now = clock_boot_ms();

		if (!t->view.is_paused && now >= t->next_ms) {
			ask(t);
			now = clock_boot_ms();
			t->next_ms = now + t->pause_ms;
		}
		show(t);
		take_key(t, screen_key(t->view.is_paused || t->next_ms <= now
					   ? 1000
					   : (int)(t->next_ms - now)));
	}
}

/* --- one frame --- */

/* Asked twice, a second apart, so that what is a second has a value. */
static int
print_once(struct top *t)
{
	static const struct timespec second = {.tv_sec = 1};
	struct frame frame;

	ask(t);
	if (t->now)
		nanosleep(&second, NULL);
	if (t->now)
		ask(t);
	if (!t->now || t->fault[0]) {
		talk_failure(&(struct talk_failure){.why = t->fault,
		    .fix = t->fix[0] ? t->fix : NULL});
		return t->exit_code;
	}
	t->view.width = term_width(WIDTH_MIN);
	t->view.height = 24;
	t->view.filter = "";
	t->view.has_keys = false;
	frame_make(t->cli->arena, t->before, t->now, &t->view, &frame);
	for (size_t i = 0; i < frame.n; i++)
		out_print("%s\n", frame.lines[i]);
	return EXIT_DONE;
}

static int
refuse(const char *why)
{
	out_error("%s; certctl top --once prints one frame as text", why);
	return EXIT_USAGE;
}

int
cmd_top(struct cli *c)
{
	const char *interval = args_value(c, "--interval");
	struct top *t;
	int64_t seconds = 2;
	int exit_code = EXIT_DONE;

	if (interval &&
	    enc_parse_i64(interval, 1, INT64_MAX, &seconds) != RC_OK)
		return EXIT_USAGE; /* the usage has a range; not reached */
	if (c->as_json)
		return refuse("a screen is no JSON: certctl status -o json");
	if (!args_flag(c, "--once") &&
	    (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
		return refuse("there is no terminal");
	c->call_seconds = CALL_SECONDS;
	t = mem_zalloc(sizeof(*t));
	t->cli = c;
	t->pause_ms = seconds * 1000;
	t->view.server = c->server;
	t->view.has_keys = true;
	if (args_flag(c, "--once")) {
		exit_code = print_once(t);
	} else if (screen_begin()) {
		run(t);
		screen_end();
	} else {
		exit_code = EXIT_FAILED;
	}
	facts_free(t->before);
	facts_free(t->now);
	free(t);
	return exit_code;
}
