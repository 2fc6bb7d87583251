#include "scheduler/leader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/lease/tenure.h"
#include "common/log/log.h"

#define TRUST_MS (LEADER_LEASE_MS - LEADER_MARGIN_MS)
#define RENEW_JITTER_PERCENT 10
/* A standby comes back this long after the lease it found has ended. */
#define TAKE_OVER_SPREAD_MS 10

struct leader {
	struct leader_opts o;
	struct tenure *row;
	uint64_t term;        /* we lead in, or led in last */
	uint64_t term_on_row; /* by the last answer */
	bool is_new;          /* the last answer gave it to us */
	bool told_behind;     /* that the database is older than journals */
	char lease[16];
	const char *params[3]; /* of a renewal; of the release the first two */
};

bool
leader_is_trusted(const struct leader *l)
{
	return tenure_is_trusted(l->row);
}

uint64_t
leader_term(const struct leader *l)
{
	return tenure_is_held(l->row) ? l->term : 0;
}

bool
leader_check(struct leader *l)
{
	return tenure_check(l->row);
}

void
leader_distrust(struct leader *l, uint64_t term, const char *why)
{
	if (l->term == term)
		tenure_distrust(l->row, why);
}

/* --- what the row's tenure tells --- */

static const char *
tell_behind(struct leader *l)
{
	if (!l->told_behind)
		log_error("DATABASE-BEHIND",
		    "a worker's journal has certificates that the database "
		    "does not know: it is older than they are; nobody leads "
		    "until certctl recover");
	l->told_behind = true;
	return "the database is older than what was issued";
}

static void
read_answer(void *arg, const struct db_result *r, struct tenure_answer *out)
{
	struct leader *l = arg;
	int64_t left_ms;

	if (db_nrows(r) == 0) {
		out->why = "the leadership row is missing";
		return;
	}
	if (db_is_null(r, 0, db_col(r, "term"))) {
		out->why = "somebody else leads";
		if (db_bool(r, 0, db_col(r, "is_behind")))
			out->why = tell_behind(l);
		else
			l->told_behind = false;
		left_ms = db_i64(r, 0, db_col(r, "left_ms"));
		if (left_ms >= 0 && left_ms < out->retry_ms)
			out->retry_ms =
			    left_ms + 1 + rand_below(TAKE_OVER_SPREAD_MS);
		return;
	}
	l->term_on_row = (uint64_t)db_i64(r, 0, db_col(r, "term"));
	l->is_new = db_bool(r, 0, db_col(r, "is_new"));
	out->is_ours = true;
	out->is_anew = l->is_new || l->term != l->term_on_row;
}

static void
on_held(void *arg)
{
	struct leader *l = arg;

	l->term = l->term_on_row;
	log_info("LEADER-TAKEN", "term %" PRIu64 "%s", l->term,
	    l->is_new ? "" : " goes on");
	l->o.on_lead(l->o.arg, l->term);
}

static void
on_lost(void *arg, const char *why, bool is_stopping)
{
	struct leader *l = arg;

	log_write(is_stopping ? LOG_INFO : LOG_WARN, "LEADER-LOST",
	    "term %" PRIu64 ": %s", l->term, why);
	l->o.on_lost(l->o.arg);
}

/* --- life --- */

struct leader *
leader_new(const struct leader_opts *opts)
{
	struct leader *l = mem_zalloc(sizeof(*l));
	struct tenure_opts row = {
	    .loop = opts->loop,
	    .pool = opts->pool,
	    .code = "LEADER-RENEW",
	    .renew_ms = LEADER_RENEW_MS,
	    .trust_ms = TRUST_MS,
	    .retry_ms = LEADER_RENEW_MS,
	    .jitter_pct = RENEW_JITTER_PERCENT,
	    .renew = {Q_LEADER_HOLD, ARRAY_LEN(l->params), l->params},
	    .give_back = {Q_LEADER_RELEASE, 2, l->params},
	    .read = read_answer,
	    .on_held = on_held,
	    .on_lost = on_lost,
	    .arg = l,
	};

	l->o = *opts;
	(void)snprintf(l->lease, sizeof(l->lease), "%d", LEADER_LEASE_MS);
	l->params[0] = opts->incarnation;
	l->params[1] = opts->nonce;
	l->params[2] = l->lease;
	l->row = tenure_new(&row);
	return l;
}

void
leader_free(struct leader *l)
{
	if (!l)
		return;
	tenure_free(l->row);
	free(l);
}

void
leader_start(struct leader *l)
{
	tenure_start(l->row);
}

void
leader_release(struct leader *l, loop_fn *done, void *arg)
{
	/* After that the lease runs out by itself. */
	tenure_give_back(l->row, LEADER_LEASE_MS, done, arg);
}
