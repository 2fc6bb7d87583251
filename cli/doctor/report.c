#include "cli/doctor/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/count.h"
#include "cli/out.h"
#include "cli/render.h"
#include "common/base/buf.h"
#include "common/json/json.h"

enum { WHAT_MAX = 4096, FIRST_ROOM = 64 };

static const struct {
	const char *code;
	const char *why;
	const char *fix;
} checks[DOCTOR_CHECKS] = {
#define LOOK(code, why, fix) {#code, why, fix},
#include "cli/doctor/checks.def"
#undef LOOK
};

static const char *const level_names[DOCTOR_LEVELS] = {
    [DOCTOR_OK] = "ok",
    [DOCTOR_UNSEEN] = "unseen",
    [DOCTOR_WARNING] = "warning",
    [DOCTOR_ERROR] = "error",
};

void
doctor_say(struct doctor *d, enum doctor_level level, enum doctor_check check,
    const char *subject, const char *fmt, ...)
{
	char what[WHAT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (d->n == d->room) {
		size_t room = d->room ? 2 * d->room : FIRST_ROOM;
		struct doctor_finding *more =
		    arena_alloc(d->arena, room * sizeof(*more));

		if (d->n)
			memcpy(more, d->findings, d->n * sizeof(*more));
		d->findings = more;
		d->room = room;
	}
	d->findings[d->n++] = (struct doctor_finding){level, check,
	    arena_strdup(d->arena, subject), arena_strdup(d->arena, what),
	    NULL};
}

void
doctor_fix(struct doctor *d, const char *fix)
{
	d->findings[d->n - 1].fix = arena_strdup(d->arena, fix);
}

size_t
doctor_count(const struct doctor *d, enum doctor_level level)
{
	size_t count = 0;

	for (size_t i = 0; i < d->n; i++)
		count += d->findings[i].level == level;
	return count;
}

static const char *
fix_of(const struct doctor_finding *f)
{
	return f->fix ? f->fix : checks[f->check].fix;
}

static void
print_one(const struct doctor *d, const struct doctor_finding *f)
{
	out_print("%-8s %-17s %s%s%s\n", level_names[f->level],
	    checks[f->check].code, out_harmless(d->arena, f->subject),
	    f->subject[0] ? ": " : "", out_harmless(d->arena, f->what));
	if (f->level == DOCTOR_OK)
		return;
	if (f->level != DOCTOR_UNSEEN)
		out_print("                           why: %s\n",
		    checks[f->check].why);
	out_print("                           fix: %s\n",
	    out_harmless(d->arena, fix_of(f)));
}

void
doctor_print(const struct doctor *d)
{
	for (int level = DOCTOR_ERROR; level >= DOCTOR_OK; level--) {
		for (size_t i = 0; i < d->n; i++) {
			if ((int)d->findings[i].level == level)
				print_one(d, &d->findings[i]);
		}
	}
	out_print("\n%s, %s, %zu could not be looked at, %zu well\n",
	    count_of(d->arena, (int64_t)doctor_count(d, DOCTOR_ERROR), "error",
		"errors"),
	    count_of(d->arena, (int64_t)doctor_count(d, DOCTOR_WARNING),
		"warning", "warnings"),
	    doctor_count(d, DOCTOR_UNSEEN), doctor_count(d, DOCTOR_OK));
}

static void
put_one(struct json_w *w, const struct doctor_finding *f)
{
	json_w_open(w, '{');
	json_w_kv(w, "level", level_names[f->level]);
	json_w_kv(w, "check", checks[f->check].code);
	json_w_kv(w, "subject", f->subject);
	json_w_kv(w, "what", f->what);
	json_w_kv(w, "why", checks[f->check].why);
	json_w_kv(w, "fix", f->level == DOCTOR_OK ? "" : fix_of(f));
	json_w_close(w, '}');
}

void
doctor_print_json(struct cli *c, const struct doctor *d)
{
	struct json_w w;
	struct buf b;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv_bool(&w, "ok", doctor_count(d, DOCTOR_ERROR) == 0);
	json_w_kv_int(&w, "errors", (int64_t)doctor_count(d, DOCTOR_ERROR));
	json_w_kv_int(&w, "warnings", (int64_t)doctor_count(d, DOCTOR_WARNING));
	json_w_kv_int(&w, "unseen", (int64_t)doctor_count(d, DOCTOR_UNSEEN));
	json_w_key(&w, "findings");
	json_w_open(&w, '[');
	for (size_t i = 0; i < d->n; i++)
		put_one(&w, &d->findings[i]);
	json_w_close(&w, ']');
	json_w_close(&w, '}');
	render_text(c, buf_cstr(&b));
	buf_fini(&b);
}
