#include "scheduler/dispatch_int.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/arena.h"
#include "common/job/job_words.h"
#include "common/log/log_peer.h"

/* What came back lies behind the low-water keys. */
static void
note_freed(struct dispatch *d, const char *whose, struct db_result *r)
{
	int64_t freed, failed;

	if (db_nrows(r) == 0)
		return;
	freed = db_i64(r, 0, db_col(r, "freed"));
	failed = db_i64(r, 0, db_col(r, "failed"));
	if (freed == 0)
		return;
	log_peer(LOG_WARN, "LEASES-FREED", whose,
	    "%s: %" PRId64 " waiting again, %" PRId64 " of them given up",
	    whose, freed - failed, failed);
	d->must_look_full = true;
}

static void
on_free(void *arg, struct db_outcome *o)
{
	struct worker *w = arg; /* stays while a free for it is under way */
	struct dispatch *d = w->owner;

	w->freeing = NULL;
	if (o->code != RC_OK) {
		w->must_free = true;
		w->rest_until_ms = loop_now_ms(d->o.loop) + DISPATCH_TICK_MS;
		dispatch_failed(d, "free", o);
		return;
	}
	note_freed(d, w->incarnation, o->results[0]);
	/* Unless it came back, or a claim for it ended, meanwhile. */
	if (w->is_gone && !w->must_free && !w->is_claiming)
		workers_remove(&d->workers, w);
	d->turn(d);
}

void
dispatch_free_start(struct dispatch *d, struct worker *w)
{
	struct arena *a = arena_new();
	const char *term = arena_printf(a, "%" PRIu64, d->term);
	const char *holding =
	    w->is_gone ? NULL : db_i64_array(a, w->holding, w->nholding);
	const char *params[] = {d->o.incarnation, term, w->incarnation, holding,
	    arena_printf(a, "%" PRId64, d->low_lease), JOB_WORDS_JSON};
	struct db_stmt stmt = {Q_SCHED_LEASES_FREE, ARRAY_LEN(params), params};

	w->must_free = false;
	w->freeing = db_submit(d->o.pool, &stmt, 1, on_free, w);
	arena_free(a);
}

static void
on_sweep(void *arg, struct db_outcome *o)
{
	struct dispatch *d = arg;

	d->sweep = NULL;
	if (o->code != RC_OK) {
		dispatch_failed(d, "sweep", o);
		return;
	}
	if (d->is_sweeping_full)
		d->sweep_every_ms = dispatch_full_every(
		    loop_now_ms(d->o.loop) - d->swept_full_ms);
	note_freed(d, "workers whose lease is over", o->results[0]);
	d->turn(d);
}

void
dispatch_sweep_start(struct dispatch *d, bool is_full)
{
	char term[24], low[24];
	const char *params[] = {d->o.incarnation, term, is_full ? "t" : "f",
	    low, JOB_WORDS_JSON};
	struct db_stmt stmt = {Q_SCHED_LEASES_SWEEP, ARRAY_LEN(params), params};

	d->is_sweeping_full = is_full;
	if (is_full)
		d->swept_full_ms = loop_now_ms(d->o.loop);
	snprintf(low, sizeof(low), "%" PRId64, is_full ? 0 : d->low_lease);
	snprintf(term, sizeof(term), "%" PRIu64, d->term);
	d->sweep = db_submit(d->o.pool, &stmt, 1, on_sweep, d);
}

void
dispatch_frees_forget(struct dispatch *d)
{
	struct worker *w, *tmp;

	HASH_ITER (hh, d->workers.by_name, w, tmp) {
		if (!w->freeing)
			continue;
		db_forget(w->freeing);
		w->freeing = NULL;
	}
	if (d->sweep)
		db_forget(d->sweep);
	d->sweep = NULL;
}
