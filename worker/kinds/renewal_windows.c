/*
 * renewal_windows: asks a CA outside of this process when it wants some of its
 * certificates renewed (RFC 9773), and stores what it said in one statement.
 *
 * That statement ends the task: one that is lost before it is made again some
 * minutes later.  Whatever goes wrong is stored too, with when to ask again: no
 * renewal waits for it, and no failure counts against the issuer's lane.
 */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/log/log.h"
#include "worker/kinds/ca_call.h"

/* The words of the statement renewal_windows_store. */
static const char *const ends[] = {
    [ISSUER_WINDOW_LATER] = "later",
    [ISSUER_WINDOW_KNOWN] = "window",
    [ISSUER_WINDOW_REFUSED] = "refused",
    [ISSUER_WINDOW_FAULT] = "fault",
    [ISSUER_WINDOW_SILENT] = "silent",
};

struct asked { /* state of the task's op */
	struct issuer_window *windows;
	const char **versions; /* their ids */
	size_t n;
	struct ca_call call;
};

static op_step windows_known;
static op_step windows_answered;

static struct asked *
state(struct op *op)
{
	return op_state(op, sizeof(struct asked));
}

enum op_next
renewal_windows_begin(struct op *op)
{
	struct task *t = op_owner(op);

	return OP_QUERY(op, Q_RENEWAL_WINDOWS_BEGIN, windows_known,
	    lease_incarnation(t->env->lease), t->lease_text, t->id);
}

/* --- what came of it --- */

static const char *
words(struct op *op)
{
	const struct asked *s = state(op);
	const char **items =
	    arena_alloc(op_arena(op), (s->n + 1) * sizeof(*items));

	for (size_t i = 0; i < s->n; i++)
		items[i] = ends[s->windows[i].end];
	return db_text_array(op_arena(op), items, s->n);
}

/* The texts at this offset of each window, as an array. */
static const char *
texts(struct op *op, size_t offset)
{
	const struct asked *s = state(op);
	const char **items =
	    arena_alloc(op_arena(op), (s->n + 1) * sizeof(*items));

	for (size_t i = 0; i < s->n; i++)
		memcpy(&items[i], (const char *)&s->windows[i] + offset,
		    sizeof(items[i]));
	return db_text_array(op_arena(op), items, s->n);
}

static const char *
numbers(struct op *op, size_t offset)
{
	const struct asked *s = state(op);
	int64_t *items = arena_alloc(op_arena(op), (s->n + 1) * sizeof(*items));

	for (size_t i = 0; i < s->n; i++)
		memcpy(&items[i], (const char *)&s->windows[i] + offset,
		    sizeof(items[i]));
	return db_i64_array(op_arena(op), items, s->n);
}

#define TEXTS(member) texts(op, offsetof(struct issuer_window, member))
#define NUMBERS(member) numbers(op, offsetof(struct issuer_window, member))

static enum op_next
store(struct op *op, const char *outcome, const char *why)
{
	struct task *t = op_owner(op);
	const struct asked *s = state(op);
	int64_t wait_s = s->call.answer.retry_after_s;

	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	if (strcmp(outcome, "done") != 0)
		log_warn("RENEWAL-WINDOWS", "issuer %s: %s: %s", t->issuer_id,
		    outcome, why);
	return OP_QUERY(op, Q_RENEWAL_WINDOWS_STORE, task_stored,
	    lease_incarnation(t->env->lease), t->lease_text, t->id,
	    db_text_array(op_arena(op), s->versions, s->n), words(op),
	    NUMBERS(starts_unix), NUMBERS(ends_unix), TEXTS(explanation_url),
	    TEXTS(words), NUMBERS(retry_after_s), outcome, why,
	    op_printf(op, "%" PRId64, wait_s));
}

/* --- asking --- */

static void
read_rows(struct op *op, struct asked *s)
{
	s->n = op_rows(op);
	s->windows = arena_alloc(op_arena(op), s->n * sizeof(*s->windows));
	s->versions = arena_alloc(op_arena(op), s->n * sizeof(*s->versions));
	for (size_t i = 0; i < s->n; i++) {
		s->versions[i] = op_text(op, i, "version_id");
		s->windows[i] = (struct issuer_window){
		    .pem = op_text(op, i, "pem"),
		    .not_after_unix = op_i64(op, i, "not_after_unix"),
		    .end = ISSUER_WINDOW_LATER,
		    .explanation_url = "",
		    .words = "",
		};
	}
}

static rc
ask(struct ca_call *c, void *opened)
{
	struct asked *s = c->arg;

	return c->ops->ask_windows(opened, s->windows, s->n, ca_call_answer, c);
}

static enum op_next
windows_known(struct op *op)
{
	struct task *t = op_owner(op);
	struct asked *s = state(op);
	const struct issuer_ops *ops;
	const char *outcome;

	if (op_rows(op) == 0)
		return op_fail(op, RC_LEASE_LOST, "the task is not ours");
	outcome = op_text(op, 0, "outcome");
	if (strcmp(outcome, "later") == 0)
		return op_done(op); /* put off until the lane lets it through */
	if (strcmp(outcome, "none") == 0)
		return store(op, "done", "");
	read_rows(op, s);
	ops = issuer_find(t->env->issuers, op_text(op, 0, "type"));
	if (!ops || !ops->ask_windows)
		return store(op, "unable",
		    "this worker can't ask issuers of that type");
	s->call.ops = ops;
	s->call.config = op_text(op, 0, "config");
	s->call.ask = ask;
	s->call.arg = s;
	s->call.then = windows_answered;
	return ca_call_start(op, &s->call);
}

static enum op_next
windows_answered(struct op *op)
{
	const struct ca_call *c = &state(op)->call;

	fault_point("worker.windows.answered");
	if (c->code != RC_OK)
		return store(op, "unable", c->why);
	if (!c->has_answer)
		return store(op, "silent", "no answer came in time");
	switch (c->answer.verdict) {
	case ISSUER_DONE:
		return store(op, "done", "");
	case ISSUER_REFUSED:
		return store(op, "refused", c->answer.words);
	case ISSUER_ISSUED:
	case ISSUER_PENDING:
	case ISSUER_ENDED:
	case ISSUER_RETRY:
	case ISSUER_UNSURE:
	case ISSUER_LISTED:
	case ISSUER_NO_ORDER:
		break;
	}
	return store(op, "silent", c->answer.words);
}
