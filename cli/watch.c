#include "cli/watch.h"

#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/dark.h"
#include "cli/out.h"
#include "cli/wait.h"
#include "common/base/clock.h"
#include "common/base/enc.h"

enum {
	LIVE_MS = 250,    /* between two looks, however many events come */
	WALK_MS = 1000,   /* the same where a look is page after page */
	POLL_MS = 2000,   /* without events */
	EVER_S = 1 << 28, /* eight years */
};

bool
watch_is_wanted(const struct cli *c)
{
	return args_command(c)->watches && args_flag(c, "--watch");
}

/* The first answer takes of that time too; a second behind its end is what
 * every call has (wait.h). */
static void
begin_time(struct cli *c)
{
	const char *limit = args_value(c, "--timeout");
	int64_t seconds = 0;

	if (!limit)
		return;
	IGNORE_RESULT(enc_parse_i64(limit, 1, EVER_S, &seconds));
	c->deadline_ms = clock_boot_ms() + (seconds + 1) * 1000;
}

static int64_t
seconds_left(const struct cli *c)
{
	int64_t left = c->deadline_ms - clock_boot_ms();

	if (c->deadline_ms == 0)
		return EVER_S;
	return left > 0 ? left / 1000 : 0;
}

int
watch_check(struct cli *c)
{
	int exit_code;

	if (!args_command(c)->watches)
		return EXIT_DONE;
	exit_code = args_goes_with(c, "--timeout", "--watch");
	if (exit_code != EXIT_DONE || !args_flag(c, "--watch"))
		return exit_code;
	if (args_has(c, "--wait")) {
		out_error("--wait is one answer that comes late, --watch each "
			  "that comes: give one of them");
		return args_refuse(c);
	}
	begin_time(c);
	if (c->format != FORMAT_CSV && c->format != FORMAT_NAME)
		return EXIT_DONE;
	out_error("-o %s has nothing between one answer and the next, so "
		  "--watch does not go with it; -o json and yaml do, and "
		  "certctl events -o csv prints changes",
	    c->format == FORMAT_CSV ? "csv" : "name");
	return args_refuse(c);
}

/* Of the row's kind, and of the object if it is one.  Only by what does not
 * change: an object that leaves a list by its status is told of too. */
static const char *
filter(struct cli *c)
{
	static const char *const options[][2] = {
	    {"--certificate-id", "certificate_id"},
	    {"--target-id", "target_id"},
	};
	const struct command *m = args_command(c);
	const char *out = arena_printf(c->arena, "kind=%s", m->watches);

	if (args_count(c) > 0)
		return arena_printf(c->arena, "%s&%s_id=%s", out, m->watches,
		    client_escape(c, args_word(c, 0)));
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (args_has(c, options[i][0]))
			out = arena_printf(c->arena, "%s&%s=%s", out,
			    options[i][1],
			    client_escape(c, args_value(c, options[i][0])));
	}
	return out;
}

static const char *
sign_of(struct cli *c, const struct watched *of, const struct answer *a)
{
	return of->sign && a->status == 200 ? of->sign(c, a) : a->text;
}

struct looking {
	const struct watched *of;
	struct buf shown; /* by its sign */
	struct dark dark;
};

/* Between two looks while events come: a walk through a long list is many
 * calls, so it is not taken for each of a burst. */
static int64_t
live_pause(const struct cli *c)
{
	return args_command(c)->flags & COMMAND_PAGED &&
		       (args_has(c, "--all") || args_has(c, "--limit"))
		   ? WALK_MS
		   : LIVE_MS;
}

/* Prints what differs from what was shown last. */
static int
take(struct cli *c, struct looking *l, const struct answer *a)
{
	const struct watched *of = l->of;
	struct buf *shown = &l->shown;
	const char *sign = sign_of(c, of, a);
	int exit_code;

	dark_end(&l->dark);
	if (a->status == 200 && strcmp(sign, buf_cstr(shown)) == 0)
		return EXIT_DONE;
	if (a->status == 200 && !c->as_json)
		out_print("\n");
	exit_code = of->show(c, a);
	buf_reset(shown);
	buf_puts(shown, sign);
	/* Who reads sees it at once; who reads no more ends it. */
	return fflush(stdout) == 0 ? exit_code : EXIT_FAILED;
}

static int
look_once(struct wait *w, struct looking *l)
{
	const struct watched *of = l->of;
	struct cli *c = w->cli;
	struct arena *run = c->arena;
	struct answer a = {.status = 0};
	int exit_code;

	c->arena = arena_new();
	exit_code = of->look(c, of->path, &a);
	if (exit_code == EXIT_DONE && client_is_passing(&a))
		dark_begin(c, &l->dark, "how it is now is not known", &a);
	else if (exit_code == EXIT_DONE)
		exit_code = take(c, l, &a);
	else if (client_is_passing(&a)) /* in the midst of pages: it is told */
		exit_code = EXIT_DONE;
	w->last = (struct answer){.status = a.status,
	    .retry_after_s = a.retry_after_s};
	arena_free(c->arena);
	c->arena = run;
	return exit_code;
}

int
watch_go_on(struct cli *c, const struct watched *of, const struct answer *shown)
{
	struct looking l = {.of = of};
	int64_t seconds = seconds_left(c);
	int exit_code = EXIT_DONE;
	struct wait w;

	if (fflush(stdout) != 0)
		return EXIT_FAILED;
	buf_init(&l.shown, 0);
	buf_puts(&l.shown, sign_of(c, of, shown));
	wait_init(&w, c, seconds, POLL_MS);
	wait_listen(&w, of->filter ? of->filter : filter(c));
	do {
		exit_code = look_once(&w, &l);
		w.pause_ms = wake_is_live(w.wake) ? live_pause(c) : POLL_MS;
	} while (exit_code == EXIT_DONE && wait_pause(&w));
	wait_fini(&w);
	buf_fini(&l.shown);
	return exit_code;
}
