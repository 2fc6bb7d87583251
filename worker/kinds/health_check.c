/*
 * health_check: asks the endpoints of a task, each by a TLS handshake, and
 * stores what they showed in one statement.
 *
 * That statement ends the task: a worker that dies before it leaves all of
 * them to another, and nothing is counted twice.  Those that could not be
 * asked in time, or for want of room on this host, are due again at once.
 */
#include <inttypes.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/base/fault.h"
#include "common/base/hostname.h"
#include "common/base/hostport.h"
#include "common/base/plain.h"
#include "common/log/log.h"
#include "common/pki/cert/discovered.h"
#include "worker/kinds/kind.h"
#include "worker/watch.h"

#define STORE_MS 5000 /* kept of the task's time to store what was seen */
#define RETRY_MS 100

/* The words of the statement health_checks_store. */
#define SERVED "served"
#define OTHER "other"
#define FAILED "failed"
#define REFUSED "refused"
#define LATER "later"

struct check {
	struct task_state *task;
	const char *id, *endpoint;
	const char *expected;    /* fingerprints, blanks between; NULL: any */
	struct tls_probe *probe; /* under way, or NULL */
	/* What is stored. */
	const char *outcome, *fingerprint, *version, *cipher, *subject, *issuer,
	    *reason;
	const char *expiry; /* RFC 3339; NULL: unknown */
	int64_t response_ms;
};

struct task_state {
	struct op *op;
	struct check *checks;
	size_t n, running;
};

static op_step check_loaded;
static op_step check_probed;
static op_step check_store;
static op_step check_stored;
static op_step check_not_stored;

static struct task_state *
state(struct op *op)
{
	return op_state(op, sizeof(struct task_state));
}

static void
cancel_all(void *arg)
{
	struct task_state *s = arg;

	for (size_t i = 0; i < s->n; i++) {
		if (s->checks[i].probe)
			tls_probe_cancel(s->checks[i].probe);
		s->checks[i].probe = NULL;
	}
	s->running = 0;
}

enum op_next
health_check_begin(struct op *op)
{
	struct task *t = op_owner(op);

	state(op)->op = op;
	arena_defer(op_arena(op), cancel_all, state(op));
	return OP_QUERY(op, Q_HEALTH_CHECKS_LOAD, check_loaded,
	    lease_incarnation(t->env->lease), t->lease_text, t->id);
}

/* --- what an endpoint showed --- */

static void
failed(struct check *c, const char *outcome, const char *why)
{
	char *text = arena_strdup(op_arena(c->task->op), why);

	plain_clean(text);
	c->outcome = outcome;
	c->reason = text;
}

/* What can't be read of it is left empty: its fingerprint is enough to know it
 * by. */
static void
read_leaf(struct check *c, const struct tls_probe_cert *leaf)
{
	struct arena *a = op_arena(c->task->op);
	char *fingerprint = arena_alloc(a, 65);
	struct discovered d;

	enc_sha256_hex(leaf->der, leaf->len, fingerprint);
	c->fingerprint = fingerprint;
	if (discovered_read(a, (struct span){leaf->der, leaf->len}, &d) !=
	    RC_OK)
		return;
	c->subject = d.subject_dn;
	c->issuer = d.issuer_dn;
	c->expiry = d.not_after[0] ? d.not_after : NULL;
}

static void
answered(struct check *c, const struct tls_probe_result *r)
{
	struct arena *a = op_arena(c->task->op);

	read_leaf(c, &r->chain[0]);
	c->version = arena_strdup(a, r->version);
	c->cipher = arena_strdup(a, r->cipher);
	c->response_ms = r->response_ms;
	c->outcome = SERVED;
	c->reason = "";
	if (!c->expected || strstr(c->expected, c->fingerprint))
		return;
	c->outcome = OTHER;
	c->reason = arena_printf(a,
	    "it serves the certificate with SHA-256 %s, and %.64s is expected",
	    c->fingerprint, c->expected);
}

static void
on_probed(void *arg, const struct tls_probe_result *r)
{
	struct check *c = arg;
	struct task_state *s = c->task;

	c->probe = NULL;
	switch (r->fault) {
	case TLS_PROBE_OK:
		answered(c, r);
		break;
	case TLS_PROBE_REFUSED:
		failed(c, REFUSED, r->error);
		break;
	case TLS_PROBE_NO_ROOM: /* not the endpoint's fault */
		failed(c, LATER, r->error);
		break;
	default:
		failed(c, FAILED, r->error);
		break;
	}
	if (--s->running == 0)
		op_wake(s->op);
}

/* --- asking --- */

static void
ask(struct check *c, const struct watch *w)
{
	struct hostport hp;
	struct tls_probe_target target = {.host = hp.host,
	    .timeout_ms = w->timeout_ms};

	if (hostport_parse(c->endpoint, &hp) != RC_OK) {
		failed(c, REFUSED, "the endpoint is no host:port");
		return;
	}
	target.port = hp.port;
	if (!hostname_is_address(hp.host))
		target.server_name = hp.host;
	if (tls_probe_start(w->prober, &target, on_probed, c, &c->probe) !=
	    RC_OK) {
		failed(c, FAILED, "the endpoint cannot be asked");
		return;
	}
	c->task->running++;
}

static enum op_next
check_loaded(struct op *op)
{
	struct task *t = op_owner(op);
	struct task_state *s = state(op);
	size_t n = op_rows(op);
	int64_t left_ms;

	s->checks = arena_alloc(op_arena(op), (n + 1) * sizeof(*s->checks));
	s->n = n;
	for (size_t i = 0; i < n; i++) {
		s->checks[i] = (struct check){
		    .task = s,
		    .id = op_text(op, i, "id"),
		    .endpoint = op_text(op, i, "endpoint"),
		    .expected = op_is_null(op, i, "expected")
				    ? NULL
				    : op_text(op, i, "expected"),
		    .outcome = LATER,
		    .fingerprint = "",
		    .version = "",
		    .cipher = "",
		    .subject = "",
		    .issuer = "",
		    .reason = "",
		};
	}
	for (size_t i = 0; i < n; i++)
		ask(&s->checks[i], t->env->watch);
	if (s->running == 0)
		return op_goto(op, check_probed);
	task_wait(t, true);
	left_ms = op_left_ms(op) - STORE_MS;
	return op_park(op, left_ms > 0 ? left_ms : 1, check_probed);
}

/* Those still under way are left to another time. */
static enum op_next
check_probed(struct op *op)
{
	task_wait(op_owner(op), false);
	cancel_all(state(op));
	fault_point("worker.health.probed");
	return op_goto(op, check_store);
}

/* --- what came of it --- */

/* The texts at this offset of each check, as an array. */
static const char *
texts(struct op *op, size_t offset)
{
	const struct task_state *s = state(op);
	const char **items =
	    arena_alloc(op_arena(op), (s->n + 1) * sizeof(*items));

	for (size_t i = 0; i < s->n; i++)
		memcpy(&items[i], (const char *)&s->checks[i] + offset,
		    sizeof(items[i]));
	return db_text_array(op_arena(op), items, s->n);
}

static const char *
numbers(struct op *op, size_t offset)
{
	const struct task_state *s = state(op);
	int64_t *items = arena_alloc(op_arena(op), (s->n + 1) * sizeof(*items));

	for (size_t i = 0; i < s->n; i++)
		memcpy(&items[i], (const char *)&s->checks[i] + offset,
		    sizeof(items[i]));
	return db_i64_array(op_arena(op), items, s->n);
}

#define TEXTS(member) texts(op, offsetof(struct check, member))
#define NUMBERS(member) numbers(op, offsetof(struct check, member))

static enum op_next
check_store(struct op *op)
{
	struct task *t = op_owner(op);

	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	op_catch(op, check_not_stored);
	return OP_QUERY(op, Q_HEALTH_CHECKS_STORE, check_stored,
	    lease_incarnation(t->env->lease), t->lease_text, t->id, TEXTS(id),
	    TEXTS(outcome), TEXTS(fingerprint), NUMBERS(response_ms),
	    TEXTS(version), TEXTS(cipher), TEXTS(subject), TEXTS(issuer),
	    TEXTS(expiry), TEXTS(reason));
}

static enum op_next
check_not_stored(struct op *op)
{
	const struct db_error *e;
	rc ret = op_caught(op, &e);

	if (rc_is_retryable(ret) && op_left_ms(op) > RETRY_MS * 2)
		return op_sleep(op, RETRY_MS, check_store);
	log_error("HEALTH-STUCK",
	    "what health checks saw can't be stored: %s %s", e->sqlstate,
	    e->message);
	return op_fail(op, ret, "what they saw could not be stored");
}

/* A row for each change of status; one that names none says that the task was
 * ours. */
static enum op_next
check_stored(struct op *op)
{
	if (op_rows(op) == 0)
		return op_fail(op, RC_LEASE_LOST, "the task is not ours");
	for (size_t i = 0; i < op_rows(op); i++) {
		if (op_text(op, i, "id")[0] == '\0')
			continue;
		log_info("HEALTH-CHANGED", "%s, %s: %s, was %s%s%s",
		    op_text(op, i, "id"), op_text(op, i, "endpoint"),
		    op_text(op, i, "status"), op_text(op, i, "status_before"),
		    op_text(op, i, "reason")[0] ? ": " : "",
		    op_text(op, i, "reason"));
	}
	return op_done(op);
}
