#include "apiserver/handlers/explain/words.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/base/buf.h"

enum level { FINE, NOTES, WARNS, HOLDS, WAITS, STUCK };

struct row {
	const char *code;
	enum level level;
	const char *what;
	const char *next;
	const char *advice;
};

#define EXPLAIN(code, level, what, next, advice) \
	{#code, level, what, next, advice},
static const struct row rows[] = {
#include "apiserver/handlers/explain/explain.def"
};
#undef EXPLAIN

/* A condition without a sentence does not compile. */
#define EXPLAIN(code, level, what, next, advice) HAS_##code,
enum has {
#include "apiserver/handlers/explain/explain.def"
	HAS_ALL
};
#undef EXPLAIN
#define CONDITION(name, severity, what, detail, advice) \
	_Static_assert(HAS_##name < HAS_ALL, "a condition has no sentence");
#include "apiserver/conditions.def"
#undef CONDITION

const char *const explain_state_names[] = {
    [EXPLAIN_OK] = "ok",
    [EXPLAIN_NOTE] = "note",
    [EXPLAIN_WARNING] = "warning",
    [EXPLAIN_WAITING] = "waiting",
    [EXPLAIN_STUCK] = "stuck",
};

/* NULL: there are no words for it. */
static const struct row *
find(const char *code)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (strcmp(rows[i].code, code) == 0)
			return &rows[i];
	}
	return NULL;
}

bool
explain_knows(const char *code)
{
	return find(code) != NULL;
}

static const struct row *
row_of(const struct explain_fact *f)
{
	const struct row *row = find(f->code);

	if (!row)
		abort(); /* who asks looked by explain_knows */
	return row;
}

/* --- sentences --- */

/* "2026-11-30T08:00:00.123Z" as people read it. */
static const char *
readable(struct arena *a, const char *rfc3339)
{
	if (strlen(rfc3339) < 19)
		return rfc3339;
	return arena_printf(a, "%.10s %.8s UTC", rfc3339, rfc3339 + 11);
}

/* What {name} stands for, the first len bytes of text; NULL: nothing. */
static const char *
value_of(struct arena *a, const struct explain_fact *f, const char *text,
    size_t len)
{
	const struct {
		const char *name;
		const char *value;
	} known[] = {{"id", f->id}, {"name", f->name}, {"detail", f->detail},
	    {"said", f->said}, {"tried", f->tried}, {"since", f->since},
	    {"until", f->until}, {"certificate", f->certificate},
	    {"issuer", f->issuer}};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strlen(known[i].name) == len &&
		    memcmp(known[i].name, text, len) == 0) {
			bool is_time = known[i].value == f->until ||
				       known[i].value == f->since;

			return is_time ? readable(a, known[i].value)
				       : known[i].value;
		}
	}
	return NULL;
}

#define AT_UNTIL " at {until}"

static const char *
fill(struct arena *a, const struct explain_fact *f, const char *template)
{
	const char *at = template, *value, *end, *text;
	struct buf b;

	buf_init(&b, 0);
	while (*at) {
		/* A moment that is not known is not spoken of. */
		if (!*f->until &&
		    strncmp(at, AT_UNTIL, strlen(AT_UNTIL)) == 0) {
			at += strlen(AT_UNTIL);
			continue;
		}
		end = *at == '{' ? strchr(at, '}') : NULL;
		value =
		    end ? value_of(a, f, at + 1, (size_t)(end - at - 1)) : NULL;
		if (value) {
			buf_puts(&b, value);
			at = end + 1;
		} else {
			buf_putc(&b, *at++);
		}
	}
	text = arena_printf(a, "%s", buf_cstr(&b));
	buf_fini(&b);
	return text;
}

const char *
explain_what(struct arena *a, const struct explain_fact *f)
{
	return fill(a, f, row_of(f)->what);
}

const char *
explain_next(struct arena *a, const struct explain_fact *f)
{
	return fill(a, f, row_of(f)->next);
}

const char *
explain_advice(struct arena *a, const struct explain_fact *f)
{
	return fill(a, f, row_of(f)->advice);
}

/* --- the verdict --- */

/* A fact that only warns of itself or tells can't make anything not ready. */
static enum explain_state
state_of(const struct explain_fact *f, bool something_waits)
{
	static const enum explain_state states[] = {
	    [FINE] = EXPLAIN_OK,
	    [NOTES] = EXPLAIN_NOTE,
	    [WARNS] = EXPLAIN_WARNING,
	    [HOLDS] = EXPLAIN_STUCK,
	    [WAITS] = EXPLAIN_WAITING,
	    [STUCK] = EXPLAIN_STUCK,
	};
	enum level level = row_of(f)->level;
	enum explain_state most = EXPLAIN_STUCK;

	if (strcmp(f->weight, "tells") == 0)
		most = EXPLAIN_NOTE;
	else if (strcmp(f->weight, "decides") != 0 ||
		 (level == HOLDS && !something_waits))
		most = EXPLAIN_WARNING;
	return states[level] < most ? states[level] : most;
}

/* A job that something holds up is one that waits. */
static bool
is_unfinished(const struct explain_fact *f)
{
	enum level level = row_of(f)->level;

	return strcmp(f->weight, "decides") == 0 &&
	       (level == WAITS || level == STUCK ||
		   (level == HOLDS && strcmp(f->step, "job") == 0));
}

struct explain_verdict
explain_judge(const struct explain_fact *facts, size_t n,
    enum explain_state *out_states)
{
	struct explain_verdict v = {EXPLAIN_OK, n};
	bool something_waits = false;

	for (size_t i = 0; i < n; i++)
		something_waits |= is_unfinished(&facts[i]);
	for (size_t i = 0; i < n; i++) {
		out_states[i] = state_of(&facts[i], something_waits);
		if (out_states[i] < EXPLAIN_WARNING || out_states[i] < v.state)
			continue;
		/* Of those that are as bad the one that stands first. */
		if (v.at == n || out_states[i] > v.state ||
		    row_of(&facts[i]) < row_of(&facts[v.at])) {
			v.state = out_states[i];
			v.at = i;
		}
	}
	return v;
}
