/*
 * acme_validate: one try to validate an ACME challenge (RFC 8555, section 8).
 *
 * Nothing is left outside by a try, so a worker that dies in the middle costs
 * its time and no more.  One statement stores what came of it, and ends the
 * task or puts it off to the next try.
 */
#include <inttypes.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "worker/acme/validation.h"
#include "worker/kinds/kind.h"

#define STORE_MS 5000 /* kept of the task's time to store what was seen */
#define RETRY_MS 100
#define URN "urn:ietf:params:acme:error:"

/* The words of the statement acme_challenge_end. */
#define VALID "valid"
#define FAILED "failed"
#define MOOT "moot"

static const struct method {
	const char *name;
	enum validation_type type;
	op_step *begin;
} methods[] = {
    {"http-01", HTTP_01, http01_begin},
    {"dns-01", DNS_01, dns01_begin},
    {"tls-alpn-01", TLS_ALPN_01, tlsalpn01_begin},
};

static op_step validate_loaded;
static op_step validate_turn_came;
static op_step validate_judged;
static op_step validate_caa_judged;
static op_step validate_store;
static op_step validate_stored;
static op_step validate_not_stored;

/* --- turns --- */

static void
turn_leave(struct validation *v)
{
	struct validation_turns *t = &v->by->turns[v->type];
	struct validation *next = TAILQ_FIRST(&t->waiting);

	if (v->is_waiting) {
		TAILQ_REMOVE(&t->waiting, v, entry);
		v->is_waiting = false;
	}
	if (!v->has_turn)
		return;
	v->has_turn = false;
	if (!next) {
		t->running--;
		return;
	}
	TAILQ_REMOVE(&t->waiting, next, entry);
	next->is_waiting = false;
	next->has_turn = true;
	op_wake(next->op);
}

static void
turn_leave_at_end(void *arg)
{
	turn_leave(arg);
}

static enum op_next
turn_take(struct op *op)
{
	struct validation *v = validation_of(op);
	struct validation_turns *t = &v->by->turns[v->type];
	int64_t spare_ms = op_left_ms(op) - VALIDATION_MS - STORE_MS;

	arena_defer(op_arena(op), turn_leave_at_end, v);
	task_wait(op_owner(op), true);
	if (t->running < t->limit) {
		t->running++;
		v->has_turn = true;
		return op_goto(op, validate_turn_came);
	}
	TAILQ_INSERT_TAIL(&t->waiting, v, entry);
	v->is_waiting = true;
	return op_park(op, spare_ms > 0 ? spare_ms : 1, validate_turn_came);
}

/* --- the challenge --- */

enum op_next
acme_validate_begin(struct op *op)
{
	struct task *t = op_owner(op);
	struct validation *v = validation_of(op);

	v->op = op;
	v->by = t->env->validator;
	return OP_QUERY(op, Q_ACME_CHALLENGE_LOAD, validate_loaded,
	    lease_incarnation(t->env->lease), t->lease_text, t->id);
}

static const struct method *
find_method(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (strcmp(methods[i].name, name) == 0)
			return &methods[i];
	return NULL;
}

/* No row: somebody decided of it meanwhile, or it is too late. */
static enum op_next
validate_loaded(struct op *op)
{
	struct validation *v = validation_of(op);
	const struct method *m;

	if (op_rows(op) == 0) {
		v->is_moot = true;
		return op_goto(op, validate_store);
	}
	m = find_method(op_text(op, 0, "type"));
	if (!m)
		return op_fail(op, RC_NOT_IMPLEMENTED,
		    "this worker knows no challenges of type %s",
		    op_text(op, 0, "type"));
	v->type = m->type;
	v->method = m->name;
	v->is_address = strcmp(op_text(op, 0, "name_type"), "ip") == 0;
	v->is_wildcard = op_bool(op, 0, "wildcard");
	v->name = op_text(op, 0, "name");
	v->token = op_text(op, 0, "token");
	v->account_id = op_text(op, 0, "account_id");
	v->profile_id = op_text(op, 0, "profile_id");
	v->judged = validate_judged;
	validation_begin(v, op_text(op, 0, "thumbprint"));
	return turn_take(op);
}

static enum op_next
validate_turn_came(struct op *op)
{
	struct validation *v = validation_of(op);
	int64_t left_ms = op_left_ms(op) - STORE_MS;

	if (!v->has_turn)
		return op_fail(op, RC_BUSY,
		    "as many validations as this worker makes at once were "
		    "under way");
	v->began_ms = loop_now_ms(v->by->loop);
	v->ends_ms =
	    v->began_ms + (left_ms < VALIDATION_MS ? left_ms : VALIDATION_MS);
	return op_goto(op, find_method(v->method)->begin);
}

static enum op_next
validate_judged(struct op *op)
{
	struct validation *v = validation_of(op);

	/* Addresses have no such records. */
	if (v->has_failed || v->is_address || !v->by->checks_caa)
		return op_goto(op, validate_caa_judged);
	v->judged = validate_caa_judged;
	return caa_begin(op);
}

static enum op_next
validate_caa_judged(struct op *op)
{
	struct validation *v = validation_of(op);

	v->took_ms = loop_now_ms(v->by->loop) - v->began_ms;
	turn_leave(v);
	task_wait(op_owner(op), false);
	fault_point("worker.acme.judged");
	return op_goto(op, validate_store);
}

/* --- what came of it --- */

static void
put_identifier(struct json_w *w, const struct validation *v)
{
	json_w_key(w, "identifier");
	json_w_open(w, '{');
	json_w_kv(w, "type", v->is_address ? "ip" : "dns");
	json_w_kv(w, "value", v->name);
	json_w_close(w, '}');
}

static void
put_members(struct json_w *w, const struct validation_problem *p)
{
	char type[sizeof(URN) + 32];

	(void)snprintf(type, sizeof(type), URN "%s",
	    validation_fault_type(p->fault));
	json_w_kv(w, "type", type);
	json_w_kv(w, "detail", p->detail);
	json_w_kv_int(w, "status", validation_fault_status(p->fault));
}

static void
put_subproblems(struct json_w *w, const struct validation *v,
    const struct validation_problem *p, size_t n)
{
	if (n == 0)
		return;
	json_w_key(w, "subproblems");
	json_w_open(w, '[');
	for (size_t i = 0; i < n; i++) {
		json_w_open(w, '{');
		put_members(w, &p[i]);
		put_identifier(w, v);
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
}

/* As a problem document (RFC 7807, RFC 8555 section 6.7.1). */
static const char *
problem_text(struct validation *v, const struct validation_problem *p,
    const struct validation_problem *subproblems, size_t n)
{
	const char *text;
	struct json_w w;
	struct buf b;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	put_members(&w, p);
	put_subproblems(&w, v, subproblems, n);
	json_w_close(&w, '}');
	text = arena_strdup(op_arena(v->op), buf_cstr(&b));
	buf_fini(&b);
	return text;
}

/* The challenge's error: one address of several says more than all. */
static const char *
challenge_problem(struct validation *v)
{
	if (!v->has_failed)
		return NULL;
	return problem_text(v, &v->problem, v->subproblems,
	    v->nsubproblems > 1 ? v->nsubproblems : 0);
}

/* The order's names which of its identifiers failed. */
static const char *
order_problem(struct validation *v)
{
	struct validation_problem p = v->problem;

	if (!v->has_failed)
		return NULL;
	p.detail = op_printf(v->op, "%s was not validated by %s: %s", v->name,
	    v->method, p.detail);
	return problem_text(v, &p, &v->problem, 1);
}

static enum op_next
validate_store(struct op *op)
{
	struct task *t = op_owner(op);
	struct validation *v = validation_of(op);

	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	op_catch(op, validate_not_stored);
	return OP_QUERY(op, Q_ACME_CHALLENGE_END, validate_stored,
	    lease_incarnation(t->env->lease), t->lease_text, t->id,
	    v->is_moot      ? MOOT
	    : v->has_failed ? FAILED
			    : VALID,
	    challenge_problem(v), order_problem(v),
	    v->has_failed ? validation_fault_type(v->problem.fault) : VALID,
	    op_printf(op, "%" PRId64, v->took_ms), v->resolver_why);
}

static enum op_next
validate_not_stored(struct op *op)
{
	const struct db_error *e;
	rc ret = op_caught(op, &e);

	if ((rc_is_retryable(ret) || ret == RC_BUSY) &&
	    op_left_ms(op) > RETRY_MS * 2)
		return op_sleep(op, RETRY_MS, validate_store);
	log_error("ACME-STUCK",
	    "what a validation came to can't be stored: %s %s", e->sqlstate,
	    e->message);
	return op_fail(op, ret, "what it came to could not be stored");
}

static enum op_next
validate_stored(struct op *op)
{
	const struct task *t = op_owner(op);
	const struct validation *v = validation_of(op);

	if (op_rows(op) == 0)
		return op_fail(op, RC_LEASE_LOST, "the task is not ours");
	log_info("ACME-VALIDATED", "%s, %s of %s: %s%s%s", t->subject,
	    v->method ? v->method : "-", v->name ? v->name : "-",
	    op_text(op, 0, "status"), v->has_failed ? ": " : "",
	    v->has_failed ? v->problem.detail : "");
	return op_done(op);
}
