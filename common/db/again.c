/*
 * Requests that the server undid to let another go on: a deadlock's victim, or
 * one that could not be put in a row with others.
 *
 * A request is one transaction, so nothing of it is left and it is simply asked
 * again, a few times, before anybody hears of it.  The pause differs, so that
 * two that met do not meet again.
 */
#include <string.h>

#include "common/base/attr.h"
#include "common/base/rand.h"
#include "common/db/db_int.h"
#include "common/log/log.h"

enum { TRIES_MAX = 5, PAUSE_MS = 20 };

static const char *const undone[] = {"40001", "40P01"};

bool
db_again_is_wanted(const struct db_req *r)
{
	if (!r->error || !r->done || r->tries + 1 >= TRIES_MAX)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(undone); i++) {
		if (strcmp(r->error->sqlstate, undone[i]) == 0)
			return true;
	}
	return false;
}

static int64_t
first_due_ms(const struct db_pool *p)
{
	const struct db_req *r;
	int64_t due_ms = INT64_MAX;

	TAILQ_FOREACH (r, &p->again, entry) {
		if (r->again_at_ms < due_ms)
			due_ms = r->again_at_ms;
	}
	return due_ms;
}

static void
arm(struct db_pool *p)
{
	int64_t wait_ms;

	if (TAILQ_EMPTY(&p->again))
		return;
	wait_ms = first_due_ms(p) - loop_now_ms(p->loop);
	timer_arm(p->again_timer, wait_ms > 0 ? wait_ms : 0);
}

void
db_again_add(struct db_req *r)
{
	struct db_pool *p = r->pool;

	log_info("DB-AGAIN", "%s: %s (%s); asking again",
	    sql_statements[r->stmts[r->error->statement].stmt.q].name,
	    r->error->message, r->error->sqlstate);
	db_req_reset(r);
	r->tries++;
	r->state = DB_REQ_PAUSING;
	r->again_at_ms = loop_now_ms(p->loop) +
			 rand_jitter((int64_t)PAUSE_MS << r->tries, 75);
	TAILQ_INSERT_TAIL(&p->again, r, entry);
	p->retries++;
	arm(p);
}

struct db_req *
db_again_take_due(struct db_pool *p)
{
	int64_t now_ms = loop_now_ms(p->loop);
	struct db_req *r;

	TAILQ_FOREACH (r, &p->again, entry) {
		if (r->again_at_ms <= now_ms) {
			TAILQ_REMOVE(&p->again, r, entry);
			return r;
		}
	}
	arm(p);
	return NULL;
}
