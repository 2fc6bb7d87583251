/*
 * lease: the worker's own row, and how long this process may trust in it.
 *
 * The row says that this incarnation lives; it is renewed every 500 ms and
 * ends after 1.7 s by the database's clock, and with it every lease of work
 * that names this incarnation.  How far it is trusted: common/lease/tenure.h.
 * Whoever is about to sign, to send anything outside or to commit asks
 * lease_is_trusted() first.  The row also says what the host cannot do and
 * when its certificate of the bus ends, and each answer is compared with this
 * host's clock.
 *
 * Call from the event loop only.  The pool is the lease's own, of one
 * connection, so that a renewal never queues behind work.
 */
#ifndef WORKER_LEASE_H
#define WORKER_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/bus/bus.h"
#include "common/db/db.h"
#include "common/loop/loop.h"
#include "common/op/op.h"
#include "worker/host_fault.h"

#define LEASE_MS 1700 /* by the database's clock */
#define LEASE_RENEW_MS 500
#define LEASE_TRUST_MS 1500

struct lease; /* defined in lease.c */

struct lease_opts {
	struct loop *loop;
	struct db_pool *pool;
	/* All texts are copied. */
	const char *incarnation; /* random, of this start */
	const char *name;
	const char *host;
	int pid;
	const char *version;
	size_t slots;
	/* Told in the row; the lease raises and clears that of the clock. */
	struct host_faults *host_faults;
	int64_t clock_limit_ms; /* by more the clocks may not differ */
	/* This process's certificate of the bus; NULL: it has none. */
	struct bus_cert (*bus_cert)(void *arg);
	/* Trust began, the first time or anew. */
	void (*on_trusted)(void *arg);
	/* Trust ended: everything held is to be dropped now.  Called once for
	 * each on_trusted. */
	void (*on_lost)(void *arg);
	void *arg;
};

struct lease *lease_new(const struct lease_opts *opts);
/* Tells nobody: see lease_leave.  NULL is a no-op. */
void lease_free(struct lease *l);
/* The next renewal tells what there is now. */
void lease_host_changed(struct lease *l);
/* Renews from now on. */
void lease_start(struct lease *l);

/* The last renewal that was answered was sent less than 1.5 s ago. */
bool lease_is_trusted(const struct lease *l);
/* Ends a step of what needed it, and its op. */
enum op_next lease_refuse(struct op *op);
/* Someone wants this job cancelled, by the last renewal's answer. */
bool lease_is_cancelled(const struct lease *l, const char *job_id);
const char *lease_incarnation(const struct lease *l);
const char *lease_name(const struct lease *l);

/* Orderly stop: no renewal any more; gives everything still held back in the
 * database, then calls done (also when that fails; within two seconds). */
void lease_leave(struct lease *l, loop_fn *done, void *arg);

#endif
