/*
 * gather: rows that many requests ask for by their ids, few statements.
 *
 * An id waits until one of at most two statements in flight is done; then all
 * that wait are asked for together, each in the order of coming.  So each is
 * answered by a statement that was sent after it came in, as if it had asked
 * alone.  With little to do a statement asks for one id, and nothing waits on
 * a timer.  Event loop only.
 */
#ifndef APISERVER_LIVE_GATHER_H
#define APISERVER_LIVE_GATHER_H

#include <stddef.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/db/db.h"
#include "common/loop/loop.h"
#include "common/op/op.h"

struct gather;   /* defined in gather.c */
struct gathered; /* defined in gather.c */

/* q: takes an array of texts, and tells in its column "at" whose row each is,
 * counted from 1; rows of one stand together.  with: its second parameter, the
 * same for all and kept by the caller; NULL: it has none. */
struct gather *gather_new(struct loop *l, struct db_pool *pool, enum query q,
    const char *with);
/* One statement at a time, not two, and after one for several a pause as long
 * as it took (8 ms at most): for those that cost much each, and little for an
 * id more. */
void gather_serialize(struct gather *g);
/* No op may be waiting. */
void gather_free(struct gather *g);
/* id lives in op's arena.  Park op: it is woken at the end.  What is given back
 * ends with op. */
struct gathered *gather_ask(struct gather *g, struct op *op, const char *id);
/* RC_OK: the (first) row of *out_rows that was asked for, which lives as long
 * as the op.  RC_NOT_FOUND: there is none; RC_TIMEOUT: nothing is known yet;
 * else as the database said. */
rc gathered_row(const struct gathered *a, const struct db_result **out_rows,
    size_t *out_row) MUST_CHECK;
/* How many rows that are, from the first on. */
size_t gathered_count(const struct gathered *a);
/* All of it as one step of op: next reads the rows of id, which lives in op's
 * arena, as those of a query.  Who finds nothing with the others, or a failure
 * that may be due to one of them, asks once more, alone. */
enum op_next gather_query(struct gather *g, struct op *op, const char *id,
    op_step *next);

#endif
