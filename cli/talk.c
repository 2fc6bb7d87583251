#include "cli/talk.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/fold.h"
#include "cli/out.h"
#include "cli/term.h"
#include "common/base/buf.h"
#include "common/json/json.h"

/* Of each part that is kept. */
#define PART_MAX 65536

static struct {
	bool as_json, has_failed;
	const char *about;
	struct buf what, why, fix, request_id;
	int status;
} kept = {
    .about = "",
    .what = {.max = PART_MAX},
    .why = {.max = PART_MAX},
    .fix = {.max = PART_MAX},
    .request_id = {.max = PART_MAX},
};

void
talk_as_json(void)
{
	kept.as_json = true;
}

bool
talk_is_json(void)
{
	return kept.as_json;
}

void
talk_about(const char *what)
{
	kept.about = what;
}

static void
keep(struct buf *part, const char *text)
{
	if (part->len > 0)
		buf_puts(part, "\n");
	buf_puts(part, text);
}

static void keep_printed(struct buf *part, const char *fmt, va_list ap)
    PRINTF_LIKE(2, 0);

static void
keep_printed(struct buf *part, const char *fmt, va_list ap)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	keep(part, text);
	free(text);
}

static void
begin_line(void)
{
	(void)fflush(stdout); /* in the order of events, on one terminal */
	(void)fprintf(stderr, "%scertctl:%s ", term_sequence(stderr, TERM_BAD),
	    term_sequence(stderr, TERM_PLAIN));
}

void
out_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (kept.as_json) {
		kept.has_failed = true;
		keep_printed(&kept.why, fmt, ap);
	} else {
		begin_line();
		out_write(stderr, fmt, ap);
		(void)fputs("\n", stderr);
	}
	va_end(ap);
}

void
out_tell(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (kept.as_json && kept.has_failed) {
		keep_printed(&kept.fix, fmt, ap);
	} else {
		out_write(stderr, fmt, ap);
		(void)fputs("\n", stderr);
	}
	va_end(ap);
}

void
talk_folded(struct arena *a, size_t indent, const char *text)
{
	out_tell("%s", kept.as_json ? text
				    : fold_text(a, term_width(TALK_WIDTH_MIN),
					  0, indent, text));
}

bool
out_flush(void)
{
	const char *why = out_fault();

	if (why)
		out_error("standard output: %s", why);
	return !why;
}

static void
keep_failure(const struct talk_failure *f)
{
	kept.has_failed = true;
	kept.status = f->status;
	if (f->what)
		keep(&kept.what, f->what);
	keep(&kept.why, f->why);
	if (f->fix)
		keep(&kept.fix, f->fix);
	if (f->request_id) {
		buf_reset(&kept.request_id);
		keep(&kept.request_id, f->request_id);
	}
}

void
talk_failure(const struct talk_failure *f)
{
	const char *what = f->what ? f->what : kept.about;
	char status[32] = "";

	if (kept.as_json) {
		keep_failure(f);
		return;
	}
	if (f->status != 0)
		(void)snprintf(status, sizeof(status), " (%d)", f->status);
	out_error("%s%s%s%s", what, what[0] ? ": " : "", f->why, status);
	if (f->fix)
		out_tell("To fix it: %s", f->fix);
	if (f->request_id)
		out_tell("Request: %s", f->request_id);
}

void
talk_end(int exit_code)
{
	struct json_w w;
	struct buf b;

	if (!kept.as_json || !kept.has_failed)
		return;
	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_key(&w, "error");
	json_w_open(&w, '{');
	json_w_kv_opt(&w, "what",
	    kept.what.len > 0    ? buf_cstr(&kept.what)
	    : kept.about[0] != 0 ? kept.about
				 : "certctl");
	json_w_kv(&w, "why", buf_cstr(&kept.why));
	json_w_kv_opt(&w, "fix", buf_cstr(&kept.fix));
	json_w_kv_opt(&w, "request_id", buf_cstr(&kept.request_id));
	if (kept.status != 0)
		json_w_kv_int(&w, "status", kept.status);
	json_w_kv_int(&w, "exit_code", exit_code);
	json_w_close(&w, '}');
	json_w_close(&w, '}');
	out_write_json(stderr, buf_cstr(&b));
	buf_fini(&b);
	buf_fini(&kept.what);
	buf_fini(&kept.why);
	buf_fini(&kept.fix);
	buf_fini(&kept.request_id);
	kept.status = 0;
	kept.has_failed = false;
}
