/*
 * GET /explain/certificate|job|target/{id}: why it is not ready, since when,
 * what happens next and what to do, with all that it depends on, in the order
 * of the walk.
 */
#include "apiserver/handlers/explain/explain.h"

#include <stdbool.h>
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/explain/words.h"
#include "apiserver/live/faults.h"
#include "apiserver/resources/shape.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/attr.h"

enum { NPARAMS = 2 + FAULTS_NPARAMS };

/* What is explained. */
struct wanted {
	const char *kind;
	const char *id;
	const char *name;
	const char *at;
};

static op_step facts_read;

static enum op_next
ask(struct op *op, const char *kind)
{
	const char *params[NPARAMS] = {kind, req_param(op, "id")};
	const char *faults[FAULTS_NPARAMS];

	faults_params(req_api(op)->faults, op_arena(op), faults);
	for (size_t i = 0; i < FAULTS_NPARAMS; i++)
		params[NPARAMS - FAULTS_NPARAMS + i] = faults[i];
	return op_query(op, Q_EXPLAIN_FACTS, facts_read, NPARAMS, params);
}

enum op_next
explain_certificate_start(struct op *op)
{
	return ask(op, "certificate");
}

enum op_next
explain_job_start(struct op *op)
{
	return ask(op, "job");
}

enum op_next
explain_target_start(struct op *op)
{
	return ask(op, "target");
}

/* --- what came --- */

static const char *
text_of(const struct db_result *r, size_t row, const char *name)
{
	return db_text(r, row, db_col(r, name));
}

static const char *
time_of(struct arena *a, const struct db_result *r, size_t row,
    const char *name)
{
	char text[WIRETIME_SIZE];

	if (db_is_null(r, row, db_col(r, name)))
		return "";
	wiretime_text(text_of(r, row, name), text);
	return arena_printf(a, "%s", text);
}

static void
read_fact(struct arena *a, const struct db_result *r, size_t row,
    struct explain_fact *out)
{
	out->step = text_of(r, row, "step");
	out->id = text_of(r, row, "id");
	out->name = text_of(r, row, "name");
	out->weight = text_of(r, row, "weight");
	out->code = text_of(r, row, "code");
	out->since = time_of(a, r, row, "since");
	out->until = time_of(a, r, row, "until");
	out->detail = text_of(r, row, "detail");
	out->said = text_of(r, row, "said");
	out->tried = text_of(r, row, "tried");
}

/* The id that all facts of a step have; other: there is none, or several. */
static const char *
id_of_step(const struct explain_fact *facts, size_t n, const char *step,
    const char *other)
{
	const char *id = NULL;

	for (size_t i = 0; i < n; i++) {
		if (strcmp(facts[i].step, step) != 0)
			continue;
		if (id && strcmp(id, facts[i].id) != 0)
			return other;
		id = facts[i].id;
	}
	return id ? id : other;
}

static void
name_the_walk(struct explain_fact *facts, size_t n)
{
	const char *certificate =
	    id_of_step(facts, n, "certificate", "CERTIFICATE");
	const char *issuer = id_of_step(facts, n, "issuer", "ISSUER");

	for (size_t i = 0; i < n; i++) {
		facts[i].certificate = certificate;
		facts[i].issuer = issuer;
	}
}

/* --- the answer --- */

static void
put_words(struct arena *a, struct json_w *w, const struct explain_fact *f)
{
	json_w_kv_opt(w, "since", f->since);
	json_w_kv_opt(w, "said", f->said);
	json_w_kv_opt(w, "next", explain_next(a, f));
	json_w_kv_opt(w, "advice", explain_advice(a, f));
}

static void
put_step(struct arena *a, struct json_w *w, const struct explain_fact *f,
    enum explain_state state)
{
	json_w_open(w, '{');
	json_w_kv(w, "step", f->step);
	json_w_kv_opt(w, "id", f->id);
	json_w_kv_opt(w, "name", f->name);
	json_w_kv(w, "state", explain_state_names[state]);
	json_w_kv(w, "code", f->code);
	json_w_kv(w, "text", explain_what(a, f));
	json_w_kv_opt(w, "until", f->until);
	put_words(a, w, f);
	json_w_close(w, '}');
}

/* One line: "certificate mc-web is not ready: ...". */
static const char *
verdict_line(struct arena *a, const struct wanted *of,
    const struct explain_verdict *v, const struct explain_fact *deciding)
{
	if (!deciding)
		return arena_printf(a, "%s %s is ready", of->kind, of->id);
	return arena_printf(a, "%s %s is %s: %s", of->kind, of->id,
	    v->state == EXPLAIN_WARNING ? "ready, but" : "not ready",
	    explain_what(a, deciding));
}

static const char *
state_name(enum explain_state state)
{
	if (state == EXPLAIN_STUCK)
		return "stuck";
	return state == EXPLAIN_WAITING ? "progressing" : "ready";
}

/* What is ready has its next moment too, but for a job that has ended. */
static const struct explain_fact *
find_next(struct arena *a, const struct wanted *of,
    const struct explain_fact *facts, size_t n)
{
	if (strcmp(of->kind, "job") == 0)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (*facts[i].until && *explain_next(a, &facts[i]))
			return &facts[i];
	}
	return NULL;
}

static void
put_verdict(struct arena *a, struct json_w *w, const struct wanted *of,
    const struct explain_verdict *v, const struct explain_fact *facts, size_t n)
{
	const struct explain_fact *deciding = v->at < n ? &facts[v->at] : NULL;
	const struct explain_fact *told =
	    deciding ? deciding : find_next(a, of, facts, n);

	json_w_kv_bool(w, "ready", v->state <= EXPLAIN_WARNING);
	json_w_kv(w, "state", state_name(v->state));
	json_w_kv(w, "verdict", verdict_line(a, of, v, deciding));
	if (deciding) {
		json_w_kv(w, "code", deciding->code);
		json_w_kv(w, "step", deciding->step);
		json_w_kv_opt(w, "subject", deciding->id);
	}
	if (!told)
		return;
	put_words(a, w, told);
	json_w_kv_opt(w, "next_at", told->until);
}

static enum op_next
answer(struct op *op, const struct wanted *of, const struct explain_fact *facts,
    size_t n)
{
	struct arena *a = op_arena(op);
	enum explain_state *states = arena_alloc(a, (n + 1) * sizeof(*states));
	struct explain_verdict v = explain_judge(facts, n, states);
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, "kind", of->kind);
	json_w_kv(w, "id", of->id);
	json_w_kv(w, "name", of->name);
	json_w_kv(w, "at", of->at);
	put_verdict(a, w, of, &v, facts, n);
	json_w_key(w, "steps");
	json_w_open(w, '[');
	for (size_t i = 0; i < n; i++)
		put_step(a, w, &facts[i], states[i]);
	json_w_close(w, ']');
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* The first row is what is explained, the others are facts. */
static enum op_next
facts_read(struct op *op)
{
	const struct db_result *r = op_result(op, 0);
	struct arena *a = op_arena(op);
	size_t n = db_nrows(r);
	struct explain_fact *facts;
	struct wanted of;

	if (n == 0)
		return op_fail(op, RC_NOT_FOUND, "there is none of this id");
	of.kind = text_of(r, 0, "step");
	of.id = text_of(r, 0, "id");
	of.name = text_of(r, 0, "name");
	of.at = time_of(a, r, 0, "since");
	facts = arena_alloc(a, n * sizeof(*facts));
	for (size_t i = 1; i < n; i++) {
		read_fact(a, r, i, &facts[i - 1]);
		/* One that nobody described is not left out in silence. */
		if (!explain_knows(facts[i - 1].code))
			return op_fail(op, RC_INTERNAL,
			    "the database tells of a state that has no words");
	}
	name_the_walk(facts, n - 1);
	return answer(op, &of, facts, n - 1);
}

/* --- what the document says of it --- */

static const struct field step_fields[] = {
    {"step", FIELD_TEXT},
    {"id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"name", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"state", FIELD_TEXT},
    {"code", FIELD_TEXT},
    {"text", FIELD_TEXT},
    {"until", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"since", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"said", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"next", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"advice", FIELD_TEXT, FIELD_OMIT_EMPTY},
};
static const struct field whole_fields[] = {
    {"kind", FIELD_TEXT},
    {"id", FIELD_TEXT},
    {"name", FIELD_TEXT},
    {"at", FIELD_TIME},
    {"ready", FIELD_BOOL},
    {"state", FIELD_TEXT},
    {"verdict", FIELD_TEXT},
    {"code", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"step", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"subject", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"since", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"said", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"next", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"next_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"advice", FIELD_TEXT, FIELD_OMIT_EMPTY},
};

#define EXPLAIN_SHAPE(said) \
	{ \
		.does = (said), .answer = SHAPE_ROWS, .member = "steps", \
		.fields = SHAPE_TABLE(step_fields), \
		.more_fields = SHAPE_TABLE(whole_fields), \
	}
const struct shape shape_explain_certificate_start =
    EXPLAIN_SHAPE("Say why a certificate is not ready");
const struct shape shape_explain_job_start =
    EXPLAIN_SHAPE("Say why a job is not done");
const struct shape shape_explain_target_start =
    EXPLAIN_SHAPE("Say why a target is not ready");
