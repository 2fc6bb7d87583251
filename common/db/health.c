/*
 * How well the pool serves: what /ready, status and the metrics say of it.
 */
#include "common/db/db_int.h"

size_t
db_pool_open(const struct db_pool *p)
{
	return p->nconns[DB_CONN_IDLE] + p->nconns[DB_CONN_BUSY];
}

void
db_heed_service(struct db_pool *p, bool is_unserved)
{
	if (!is_unserved)
		p->stalled_ms = 0;
	else if (p->stalled_ms == 0)
		p->stalled_ms = loop_now_ms(p->loop);
}

void
db_heed_idle(struct db_pool *p)
{
	if (p->nconns[DB_CONN_IDLE] > 0)
		p->stalled_ms = 0;
}

void
db_pool_stats(const struct db_pool *p, struct db_stats *out)
{
	*out = (struct db_stats){
	    .open = db_pool_open(p),
	    .busy = p->nconns[DB_CONN_BUSY],
	    .queued = p->nqueued[false] + p->nqueued[true],
	    .waiting = p->nwaiting,
	    .is_full = db_room_is_short(p),
	    .requests = p->requests,
	    .timeouts = p->timeouts,
	    .resets = p->resets,
	    .retries = p->retries,
	    .ceiling = p->max_conns,
	    .waits_ms = p->waits_ms,
	};
}

uint64_t
db_pool_writes(const struct db_pool *p, size_t *out_running)
{
	*out_running += p->nwriting;
	return p->writes;
}

const char *
db_pool_trouble(const struct db_pool *p)
{
	const char *words = db_refusal_words(p->refusal);

	if (p->nwaiting > 0)
		return "commits wait for a synchronous standby";
	if (db_pool_open(p) == 0 && p->backoff_ms > 0)
		return words ? words : "no connection can be made";
	if (db_room_is_short(p))
		return "the database's disk is full";
	if (p->is_eager && p->log_state == DB_LOG_NEVER)
		return "no connection was made yet";
	if (p->stalled_ms != 0 &&
	    loop_now_ms(p->loop) - p->stalled_ms >= DB_STALLED_MS)
		return "no connection is free, and none has served a request "
		       "for three seconds";
	return NULL;
}

const char *
db_pool_warning(const struct db_pool *p)
{
	return db_refusal_words(p->refusal);
}
