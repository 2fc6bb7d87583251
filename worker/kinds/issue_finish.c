/*
 * The end of a batch: what was signed is stored in one transaction, the rest
 * ended or put off in another, and those who wait are told.
 *
 * Both statements may be made again after any doubt.  Completed rows keep the
 * lease id as a receipt, so a commit whose answer was lost is told from a
 * lease that was lost by simply asking again.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/base/fault.h"
#include "common/base/rand.h"
#include "common/job/job_words.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "worker/kinds/issue_batch.h"

#define BUSY_TRIES 5
#define BUSY_MS 20
#define UNAVAILABLE_MS 100
#define STUCK_MS 2000
#define HELD_BESIDE_WORDS \
	"given back: somebody's open transaction holds a row beside its " \
	"certificate's: a target's, an agent's, the issuer's or its lane's"
/* What a CA outside has issued is worth waiting longer for. */
#define HELD_LEFT_MS 5000
/* What one hint names at most, to stay far below a frame's limit. */
#define HINT_ITEMS_MAX 400

static const char *const aside_names[ASIDE_KINDS] = {
    [ASIDE_FAIL] = "fail",
    [ASIDE_RETRY] = "retry",
    [ASIDE_RELEASE] = "release",
    [ASIDE_HELD] = "held",
    [ASIDE_CANCEL] = "cancel",
    [ASIDE_REFUSE] = "refuse",
    [ASIDE_ENDED] = "ended",
    [ASIDE_WRONG] = "wrong",
    [ASIDE_UNCERTAIN] = "uncertain",
    [ASIDE_PENDING] = "pending",
    [ASIDE_SILENT] = "silent",
    [ASIDE_ALONE] = "alone",
};

static op_step store_next;
static op_step stored;
static op_step store_failed;
static op_step aside_send;
static op_step aside_done;
static op_step aside_failed;
static op_step aside_give_up;

static void
collect(struct issue_batch *b, enum issue_fate fate)
{
	b->ntodo = 0;
	for (size_t i = 0; i < b->n; i++)
		if (b->jobs[i].fate == fate)
			b->todo[b->ntodo++] = &b->jobs[i];
}

/* --- storing what was signed --- */

enum op_next
issue_finish(struct op *op)
{
	struct issue_batch *b = op_state(op, sizeof(*b));

	b->todo =
	    arena_alloc(op_arena(op), (b->n + 1) * sizeof(struct issue_job *));
	collect(b, ISSUE_SIGNED);
	if (b->ntodo > 0)
		b->ranges[b->nranges++] = (struct issue_range){0, b->ntodo};
	return store_next(op);
}

/* Serial and validity are the CA's, and come from the certificate. */
static enum op_next
store_outside(struct op *op, struct issue_batch *b)
{
	const struct certresult *c = b->result;

	op_catch(op, store_failed);
	return OP_QUERY(op, Q_ISSUE_COMPLETE_OUTSIDE, stored, b->worker,
	    b->lease_text, b->todo[0]->id, c->info.serial_hex,
	    op_printf(op, "%" PRId64, c->info.not_before_unix),
	    op_printf(op, "%" PRId64, c->info.not_after_unix), c->leaf_pem,
	    c->info.fingerprint_sha256, c->info.key_algorithm,
	    op_printf(op, "%d", c->info.key_size), c->chain_pem, b->ca_order_id,
	    b->ca_certificate_id);
}

static enum op_next
store_send(struct op *op, struct issue_batch *b, struct issue_range r)
{
	struct arena *a = op_arena(op);
	size_t n = r.to - r.from;
	const char **ids = arena_alloc(a, n * sizeof(char *));
	const char **pems = arena_alloc(a, n * sizeof(char *));
	const char **prints = arena_alloc(a, n * sizeof(char *));
	const char **algs = arena_alloc(a, n * sizeof(char *));
	int64_t *sizes = arena_alloc(a, n * sizeof(int64_t));

	for (size_t i = 0; i < n; i++) {
		const struct issue_job *j = b->todo[r.from + i];

		ids[i] = j->id;
		pems[i] = j->pem;
		prints[i] = j->fingerprint;
		algs[i] = j->csr.key_algorithm;
		sizes[i] = j->csr.key_size;
	}
	op_catch(op, store_failed);
	return OP_QUERY(op, Q_ISSUE_COMPLETE, stored, b->worker, b->lease_text,
	    db_text_array(a, ids, n), db_text_array(a, pems, n),
	    db_text_array(a, prints, n), db_text_array(a, algs, n),
	    db_i64_array(a, sizes, n), b->ca->chain_pem, JOB_HELD);
}

/* The range on top of the stack, again or for the first time. */
static enum op_next
store_next(struct op *op)
{
	struct issue_batch *b = op_state(op, sizeof(*b));

	if (b->nranges == 0) {
		b->tries = 0;
		return aside_send(op);
	}
	ISSUE_TRUST_OR_RETURN(op, b);
	if (b->outside)
		return store_outside(op, b);
	return store_send(op, b, b->ranges[b->nranges - 1]);
}

static enum issue_fate
fate_of(const char *status)
{
	if (strcmp(status, "Completed") == 0)
		return ISSUE_STORED;
	return strcmp(status, "Running") == 0 ? ISSUE_HELD : ISSUE_SET_ASIDE;
}

/* May what somebody holds be waited for once more? */
static bool
may_wait(const struct op *op, struct issue_batch *b)
{
	return ++b->tries <= BUSY_TRIES ||
	       (b->outside && op_left_ms(op) > HELD_LEFT_MS);
}

/* Jobs whose own row somebody holds are tried again, then left to the lease,
 * which is freed when nobody does. */
static enum op_next
store_again(struct op *op, struct issue_batch *b, struct issue_range range)
{
	size_t end = range.from;

	for (size_t i = range.from; i < range.to; i++) {
		struct issue_job *j = b->todo[i];

		if (j->fate != ISSUE_HELD)
			continue;
		b->todo[i] = b->todo[end];
		b->todo[end++] = j;
	}
	if (end == range.from || !may_wait(op, b)) {
		b->tries = 0;
		return store_next(op);
	}
	b->ranges[b->nranges++] = (struct issue_range){range.from, end};
	return op_sleep(op, rand_jitter(UNAVAILABLE_MS, 50), store_next);
}

static enum op_next
stored(struct op *op)
{
	struct issue_batch *b = op_state(op, sizeof(*b));
	const struct db_result *r = op_result(op, 0);
	struct issue_range range = b->ranges[--b->nranges];
	int id = db_col(r, "job_id"), agent = db_col(r, "agent_id");
	int status = db_col(r, "status");

	fault_point("worker.completed");
	for (size_t i = range.from; i < range.to; i++)
		b->todo[i]->fate = ISSUE_LOST; /* unless it is named */
	for (size_t i = 0; i < db_nrows(r); i++) {
		struct issue_job *j = issue_find(b, db_text(r, i, id));

		if (!j)
			continue;
		j->fate = fate_of(db_text(r, i, status));
		j->aside = ASIDE_HELD; /* of one that went back */
		j->agent_id = db_text(r, i, agent);
	}
	return store_again(op, b, range);
}

/* Text of the database, cut to 255 bytes, may end inside a character. */
static const char *
database_says(struct op *op, const char *what, const struct db_error *e)
{
	char *text = op_printf(op, "%s: %s%s%s", what, e->message,
	    e->constraint[0] ? ", constraint " : "", e->constraint);
	size_t len = strlen(text);

	while (len > 0 && !enc_is_utf8(text, len))
		text[--len] = '\0';
	return text;
}

static void
range_aside(struct issue_batch *b, enum issue_aside aside, const char *reason)
{
	struct issue_range r = b->ranges[--b->nranges];

	for (size_t i = r.from; i < r.to; i++)
		issue_set(b->todo[i], aside, reason);
	b->tries = 0;
}

/* One row's data is refused, or what it needs is held: halve until it stands
 * alone. */
static enum op_next
store_split(struct op *op, struct issue_batch *b, const struct db_error *e,
    enum issue_aside alone, const char *reason)
{
	struct issue_range *r = &b->ranges[b->nranges - 1];
	size_t mid = r->from + (r->to - r->from) / 2;

	b->tries = 0;
	if (r->to - r->from == 1) {
		log_warn("JOB-REFUSED", "%s: %s %s %s", b->todo[r->from]->id,
		    e->sqlstate, e->message, e->constraint);
		range_aside(b, alone, reason);
		return op_goto(op, store_next);
	}
	log_info("BATCH-SPLIT", "lease %s: %zu jobs: %s %s", b->lease_text,
	    r->to - r->from, e->sqlstate, e->message);
	b->ranges[b->nranges++] = (struct issue_range){r->from, mid};
	r->from = mid;
	return op_goto(op, store_next);
}

/* A deadlock's victim waits a little; what somebody holds was waited for, so
 * that a batch goes on without it. */
static enum op_next
store_busy(struct op *op, struct issue_batch *b, const struct db_error *e)
{
	const struct issue_range *r = &b->ranges[b->nranges - 1];
	bool is_held = strcmp(e->sqlstate, "55P03") == 0;

	if (!(is_held && r->to - r->from > 1) && may_wait(op, b))
		return op_sleep(op,
		    rand_jitter(BUSY_MS * (int64_t)b->tries, 50), store_next);
	if (is_held)
		return store_split(op, b, e, ASIDE_HELD, HELD_BESIDE_WORDS);
	log_warn("BATCH-BUSY", "lease %s: %s %s, given back", b->lease_text,
	    e->sqlstate, e->message);
	range_aside(b, ASIDE_RELEASE, NULL);
	return op_goto(op, store_next);
}

static enum op_next
store_failed(struct op *op)
{
	struct issue_batch *b = op_state(op, sizeof(*b));
	const struct db_error *e;
	rc ret = op_caught(op, &e);

	switch (ret) {
	case RC_DATA:
	case RC_CONFLICT: /* 23505 */
	case RC_INVALID:  /* 23503 */
		return store_split(op, b, e, ASIDE_FAIL,
		    database_says(op, "the database refused it", e));
	case RC_UNAVAILABLE:
	case RC_TIMEOUT:
		/* It may have been committed: ask again as long as the lease
		 * is trusted, the answer is the receipt. */
		return op_sleep(op, rand_jitter(UNAVAILABLE_MS, 25),
		    store_next);
	case RC_BUSY:
		return store_busy(op, b, e);
	default:
		log_error("BATCH-STORE", "lease %s: %s %s %s", b->lease_text,
		    rc_name(ret), e->sqlstate, e->message);
		range_aside(b, ASIDE_RETRY,
		    database_says(op, "it could not be stored", e));
		return op_goto(op, store_next);
	}
}

/* --- telling --- */

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t
unique(const char **items, size_t n)
{
	size_t kept = 0;

	qsort(items, n, sizeof(items[0]), by_text);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || strcmp(items[kept - 1], items[i]) != 0)
			items[kept++] = items[i];
	return kept;
}

static void
write_list(struct json_w *w, const char *key, const char *const *items,
    size_t n)
{
	json_w_key(w, key);
	json_w_open(w, '[');
	for (size_t i = 0; i < n; i++)
		json_w_str(w, items[i]);
	json_w_close(w, ']');
}

static void
hint(struct issue_batch *b, const char *const *agents, size_t nagents,
    const char *const *finished, size_t nfinished, size_t released)
{
	struct buf body;
	struct json_w w;

	buf_init(&body, FRAME_BODY_MAX);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	write_list(&w, "agents", agents, nagents);
	write_list(&w, "finished", finished, nfinished);
	if (released > 0) {
		json_w_kv_int(&w, "jobs", (int64_t)released);
		write_list(&w, "issuers", &b->issuer_id, 1);
	}
	json_w_close(&w, '}');
	if (buf_ok(&body))
		bus_client_hint(b->env->bus, body.data, body.len);
	buf_fini(&body);
}

static void
hint_all(struct op *op, struct issue_batch *b)
{
	struct arena *a = op_arena(op);
	const char **agents = arena_alloc(a, (b->n + 1) * sizeof(char *));
	const char **finished = arena_alloc(a, (b->n + 1) * sizeof(char *));
	size_t nagents = 0, nfinished = 0, released = 0, na, nf;

	for (size_t i = 0; i < b->n; i++) {
		const struct issue_job *j = &b->jobs[i];

		if (j->fate == ISSUE_STORED && j->agent_id[0] != '\0')
			agents[nagents++] = j->agent_id;
		if (j->fate == ISSUE_SET_ASIDE &&
		    (j->aside == ASIDE_RELEASE || j->aside == ASIDE_ALONE))
			released++;
		else if (j->fate == ISSUE_STORED ||
			 (j->fate == ISSUE_SET_ASIDE &&
			     j->aside != ASIDE_HELD &&
			     j->aside != ASIDE_PENDING &&
			     j->aside != ASIDE_SILENT))
			finished[nfinished++] = j->id;
	}
	nagents = unique(agents, nagents);
	while (nagents > 0 || nfinished > 0 || released > 0) {
		na = nagents < HINT_ITEMS_MAX ? nagents : HINT_ITEMS_MAX;
		nf = nfinished < HINT_ITEMS_MAX ? nfinished : HINT_ITEMS_MAX;
		hint(b, agents, na, finished, nf, released);
		agents += na;
		nagents -= na;
		finished += nf;
		nfinished -= nf;
		released = 0;
	}
}

static void
log_end(const struct issue_batch *b)
{
	size_t fates[ISSUE_HELD + 1] = {0}, asides[ASIDE_KINDS] = {0};
	double ms[PHASE_COUNT];

	for (size_t i = 0; i < b->n; i++) {
		fates[b->jobs[i].fate]++;
		if (b->jobs[i].fate == ISSUE_SET_ASIDE)
			asides[b->jobs[i].aside]++;
	}
	for (size_t i = 0; i < PHASE_COUNT; i++)
		ms[i] = (double)b->phase_us[i] / 1000;
	log_info("BATCH-DONE",
	    "%s lease %s: %zu signed, %zu failed, %zu put off, %zu given "
	    "back, %zu cancelled, %zu pending; ms: load %.1f verify %.1f "
	    "journal %.1f "
	    "sign %.1f complete %.1f",
	    b->issuer_id, b->lease_text, fates[ISSUE_STORED],
	    asides[ASIDE_FAIL] + asides[ASIDE_WRONG],
	    asides[ASIDE_RETRY] + asides[ASIDE_REFUSE] + asides[ASIDE_ENDED] +
		asides[ASIDE_UNCERTAIN],
	    asides[ASIDE_RELEASE] + asides[ASIDE_HELD], asides[ASIDE_CANCEL],
	    asides[ASIDE_PENDING] + asides[ASIDE_SILENT] + asides[ASIDE_ALONE],
	    ms[PHASE_LOAD], ms[PHASE_CHECK], ms[PHASE_JOURNAL], ms[PHASE_SIGN],
	    ms[PHASE_STORE]);
	if (fates[ISSUE_LOST] > 0)
		log_warn("BATCH-LOST",
		    "%s lease %s: %zu jobs were not ours any more, nothing "
		    "was stored for them",
		    b->issuer_id, b->lease_text, fates[ISSUE_LOST]);
	if (asides[ASIDE_HELD] + fates[ISSUE_HELD] > 0)
		log_warn("BATCH-HELD",
		    "%s lease %s: of %zu jobs the certificate or what else "
		    "they need is held by somebody's open transaction, of %zu "
		    "their own row; they are handed out again",
		    b->issuer_id, b->lease_text, asides[ASIDE_HELD],
		    fates[ISSUE_HELD]);
}

static enum op_next
finish_end(struct op *op, struct issue_batch *b)
{
	int64_t all_us = issue_clock_us() - b->began_us;

	/* What is left of the time is the database's, and a little waiting. */
	for (size_t i = 0; i < PHASE_STORE; i++)
		all_us -= b->phase_us[i];
	b->phase_us[PHASE_STORE] = all_us;
	hint_all(op, b);
	log_end(b);
	return op_done(op);
}

/* --- setting aside --- */

static enum op_next
aside_send(struct op *op)
{
	struct issue_batch *b = op_state(op, sizeof(*b));
	struct arena *a = op_arena(op);
	const char **ids, **outcomes, **reasons, **open, **orders;
	size_t nopen = 0;

	collect(b, ISSUE_ASIDE);
	if (b->ntodo == 0)
		return finish_end(op, b);
	ISSUE_TRUST_OR_RETURN(op, b);
	ids = arena_alloc(a, b->ntodo * sizeof(char *));
	outcomes = arena_alloc(a, b->ntodo * sizeof(char *));
	reasons = arena_alloc(a, b->ntodo * sizeof(char *));
	open = arena_alloc(a, b->ntodo * sizeof(char *));
	orders = arena_alloc(a, b->ntodo * sizeof(char *));
	for (size_t i = 0; i < b->ntodo; i++) {
		const struct issue_job *j = b->todo[i];

		ids[i] = j->id;
		outcomes[i] = aside_names[j->aside];
		orders[i] = j->order;
		reasons[i] =
		    b->is_plain && j->reason
			? "it could not be issued; see the worker's log"
			: j->reason;
		if (j->is_open)
			open[nopen++] = j->id;
	}
	op_catch(op, aside_failed);
	return OP_QUERY(op, Q_ISSUE_SET_ASIDE, aside_done, b->worker,
	    b->lease_text, db_text_array(a, ids, b->ntodo),
	    db_text_array(a, outcomes, b->ntodo),
	    db_text_array(a, reasons, b->ntodo), db_text_array(a, open, nopen),
	    JOB_HELD, db_text_array(a, orders, b->ntodo));
}

static enum op_next
aside_done(struct op *op)
{
	struct issue_batch *b = op_state(op, sizeof(*b));
	bool is_last = ++b->tries > BUSY_TRIES, is_again = false;

	for (size_t i = 0; i < b->ntodo; i++)
		b->todo[i]->fate = ISSUE_SET_ASIDE; /* unless it is Running */
	for (size_t i = 0; i < op_rows(op); i++) {
		struct issue_job *j = issue_find(b, op_text(op, i, "job_id"));

		if (!j || strcmp(op_text(op, i, "status"), "Running") != 0)
			continue;
		j->fate = is_last ? ISSUE_HELD : ISSUE_ASIDE;
		is_again = true;
	}
	for (size_t i = 0; i < b->ntodo; i++) {
		const struct issue_job *j = b->todo[i];

		if (j->fate == ISSUE_SET_ASIDE && j->reason &&
		    j->aside != ASIDE_RELEASE)
			log_info("JOB-ASIDE", "%s: %s: %s", j->id,
			    aside_names[j->aside], j->reason);
	}
	if (is_again && !is_last)
		return op_sleep(op, rand_jitter(UNAVAILABLE_MS, 50),
		    aside_send);
	return finish_end(op, b);
}

static enum op_next
aside_failed(struct op *op)
{
	struct issue_batch *b = op_state(op, sizeof(*b));
	const struct db_error *e;
	rc ret = op_caught(op, &e);

	if (ret == RC_UNAVAILABLE || ret == RC_TIMEOUT)
		return op_sleep(op, rand_jitter(UNAVAILABLE_MS, 25),
		    aside_send);
	if (ret == RC_BUSY && ++b->tries <= BUSY_TRIES)
		return op_sleep(op,
		    rand_jitter(BUSY_MS * (int64_t)b->tries, 50), aside_send);
	if (ret != RC_BUSY && !b->is_plain) {
		b->is_plain = true; /* a reason may be what is refused */
		return op_goto(op, aside_send);
	}
	log_error("JOBS-STUCK", "lease %s: %zu jobs can't be set aside: %s %s",
	    b->lease_text, b->ntodo, e->sqlstate, e->message);
	/* They are handed out again when this ends: not in a tight loop. */
	return op_sleep(op, STUCK_MS, aside_give_up);
}

static enum op_next
aside_give_up(struct op *op)
{
	return op_fail(op, RC_INTERNAL, "jobs could not be set aside");
}
