/*
 * tenure: a row that is held by renewing it, and how long this process may
 * trust that it is held.
 *
 * The database ends the row's lease by its own clock.  Trust is shorter: it
 * counts from when the last renewal that was answered was sent, by the boot
 * clock, so a process that stood still (stopped, or suspended with its host)
 * distrusts itself before it does anything else.  Whoever is about to act on
 * the row asks tenure_is_trusted or tenure_check first.
 *
 * Call from the event loop only.  The pool is the tenure's own, of one
 * connection, so that a renewal never queues behind work.
 */
#ifndef COMMON_LEASE_TENURE_H
#define COMMON_LEASE_TENURE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/db/db.h"
#include "common/loop/loop.h"

struct tenure; /* defined in tenure.c */

/* What the answer to a renewal says. */
struct tenure_answer {
	bool is_ours;
	bool is_anew;     /* somebody may have held it in between */
	const char *why;  /* it is not ours; static */
	int64_t retry_ms; /* it is not ours: ask again after so long */
};

struct tenure_opts {
	struct loop *loop;
	struct db_pool *pool;
	const char *code;    /* of log lines on trouble with the database */
	int64_t renew_ms;    /* from renewal to renewal */
	int64_t trust_ms;    /* from sending on; shorter than the row's lease */
	int64_t retry_ms;    /* after a failure, or when it is not ours */
	unsigned jitter_pct; /* of retry_ms */
	/* The statements; their parameters outlive the tenure. */
	struct db_stmt renew;
	struct db_stmt give_back;
	/* Reads the answer to a renewal; *out says "not ours" and retry_ms
	 * with its jitter. */
	void (*read)(void *arg, const struct db_result *r,
	    struct tenure_answer *out);
	void (*on_held)(void *arg);
	/* Trust ended, or the row did.  Once for each on_held.  is_stopping:
	 * it is given back. */
	void (*on_lost)(void *arg, const char *why, bool is_stopping);
	void *arg;
};

struct tenure *tenure_new(const struct tenure_opts *opts);
/* Tells nobody: see tenure_give_back.  NULL is a no-op. */
void tenure_free(struct tenure *t);
/* Renews from now on. */
void tenure_start(struct tenure *t);

/* Held, and trust lasts.  Changes nothing. */
bool tenure_is_trusted(const struct tenure *t);
/* The same, but trust that has run out ends the tenure here. */
bool tenure_check(struct tenure *t);
/* Held, trusted or not yet checked. */
bool tenure_is_held(const struct tenure *t);
/* When the renewal that was sent last was, by the loop's clock. */
int64_t tenure_sent_ms(const struct tenure *t);
/* Ends it at once: something else said that the row is not ours. */
void tenure_distrust(struct tenure *t, const char *why);

/* Orderly stop: no renewal any more, on_lost, gives the row back, then calls
 * done: also when that fails, and after limit_ms at the latest. */
void tenure_give_back(struct tenure *t, int64_t limit_ms, loop_fn *done,
    void *arg);

#endif
