/*
 * leader: the leadership row and how long this process may trust in it.
 *
 * Leadership is a row with a term, renewed every 250 ms and gone after one
 * second by the database's clock; trust in it ends 100 ms earlier
 * (common/lease/tenure.h).  Whoever acts as the leader asks
 * leader_is_trusted() first; the database checks the term once more in each
 * statement.
 *
 * Call from the event loop only.  The pool is the leader's own, of one
 * connection, so that a renewal never queues behind work.
 */
#ifndef SCHEDULER_LEADER_H
#define SCHEDULER_LEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/db/db.h"
#include "common/loop/loop.h"

#define LEADER_RENEW_MS 250
#define LEADER_LEASE_MS 1000
/* Trust ends this long before the lease does. */
#define LEADER_MARGIN_MS 100

struct leader; /* defined in leader.c */

struct leader_opts {
	struct loop *loop;
	struct db_pool *pool;
	const char *incarnation; /* of this start; outlives the leader */
	const char *nonce;       /* random, of this start; the same */
	/* Leadership began; term grows with every change of leader.  After a
	 * pause the same term may begin again. */
	void (*on_lead)(void *arg, uint64_t term);
	/* Leadership ended, or trust in it did.  Called once for each
	 * on_lead. */
	void (*on_lost)(void *arg);
	void *arg;
};

struct leader *leader_new(const struct leader_opts *opts);
/* Tells nobody: see leader_release.  NULL is a no-op. */
void leader_free(struct leader *l);
/* Tries for the leadership from now on. */
void leader_start(struct leader *l);

/* True while we lead and trust lasts.  Changes nothing. */
bool leader_is_trusted(const struct leader *l);
/* The term we lead in; 0 when we don't. */
uint64_t leader_term(const struct leader *l);
/* Steps down when trust has run out; true when we still lead. */
bool leader_check(struct leader *l);
/* The database said that this term is over: steps down at once.  A term that
 * is not ours any more is ignored. */
void leader_distrust(struct leader *l, uint64_t term, const char *why);

/* Orderly stop: steps down, gives the leadership back so that a standby need
 * not wait, then calls done (also when that fails; within a second). */
void leader_release(struct leader *l, loop_fn *done, void *arg);

#endif
