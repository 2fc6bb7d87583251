/*
 * kind: what every kind of work shares.
 *
 * A lease is worked on by one op, started by the function of its kind.  The
 * op is the slot's: it ends by the slot_end it was given, with RC_OK whenever
 * the lease is dealt with (also when all its jobs failed), and is aborted
 * when the lease is lost.
 */
#ifndef WORKER_KINDS_KIND_H
#define WORKER_KINDS_KIND_H

#include "common/bus/bus.h"
#include "common/db/db.h"
#include "common/loop/loop.h"
#include "common/op/op.h"
#include "worker/acme/validation.h"
#include "worker/host_fault.h"
#include "worker/issuers/issuer.h"
#include "worker/issuers/local_ca.h"
#include "worker/issuers/responders.h"
#include "worker/lease.h"
#include "worker/network.h"
#include "worker/notifiers/notifier.h"
#include "worker/slots.h"
#include "worker/watch.h"

/* The attempt ends by itself well before the database's 60 s are over. */
#define KIND_DEADLINE_MS 50000
/* Work on the loop stops for the others after so long. */
#define KIND_SLICE_MS 4

struct sealer;

struct kind_env { /* outlives every op */
	struct loop *loop;
	struct db_pool *pool;
	struct lease *lease;
	struct bus_client *bus;
	struct local_cas *cas;
	struct responders *responders;
	struct host_faults *host;
	const char *journal_dir;
	struct sealer *sealer;
	struct issuer_env issuer;                /* for connectors */
	const struct issuer_ops *const *issuers; /* NULL at the end */
	const struct notifier_env *notifier;
	struct network *network;
	const struct watch *watch;
	struct acme_validator *validator;
};

/* A batch of jobs of one issuer, the local CA or one outside. */
struct op *issue_start(const struct kind_env *env, const struct grant *g,
    const struct slot_end *end);
/* A batch of tasks of any kind. */
struct op *task_start(const struct kind_env *env, const struct grant *g,
    const struct slot_end *end);

struct ca_call;
struct tasks; /* defined in task.c */

/* One task, as its own op's steps see it. */
struct task {
	const struct kind_env *env;
	struct tasks *lease;    /* of task.c */
	const char *lease_text; /* the lease's id, for parameters */
	const char *id;
	const char *kind;
	const char *subject;
	const char *issuer_id; /* "" when none */
	const char *payload;
	bool ends_together;   /* its row is left to the end of the lease */
	struct ca_call *call; /* of ca_call.c; NULL: none */
	bool is_waiting;      /* for somebody outside; see task_wait */
	void (*on_wait)(struct task *t, bool is_waiting); /* of task.c */
	/* set when the op ended */
	struct op *op; /* NULL: not running */
	rc code;
	const char *message;
};

/* First steps of the kinds of tasks; op_owner is the struct task.  A step
 * that ends with op_done has deleted the task's row under its lease. */
enum op_next acme_validate_begin(struct op *op);
enum op_next ca_init_begin(struct op *op);
enum op_next ca_next_begin(struct op *op);
enum op_next ca_revoke_begin(struct op *op);
enum op_next crl_build_begin(struct op *op);
enum op_next crl_fetch_begin(struct op *op);
enum op_next digest_begin(struct op *op);
enum op_next health_check_begin(struct op *op);
enum op_next ica_create_begin(struct op *op);
enum op_next network_scan_begin(struct op *op);
enum op_next notify_begin(struct op *op);
enum op_next ocsp_refresh_begin(struct op *op);
enum op_next ocsp_sign_begin(struct op *op);
enum op_next renewal_windows_begin(struct op *op);
enum op_next scep_probe_begin(struct op *op);

/* The last step of one whose statement deleted its row and says by "is_ours"
 * whether it was this worker's still. */
static inline enum op_next
task_stored(struct op *op)
{
	if (!op_bool(op, 0, "is_ours"))
		return op_fail(op, RC_LEASE_LOST, "the task is not ours");
	return op_done(op);
}

/* That a task waits for somebody outside, or does no more: a lease whose tasks
 * all wait takes no slot meanwhile. */
static inline void
task_wait(struct task *t, bool is_waiting)
{
	t->on_wait(t, is_waiting);
}

#endif
