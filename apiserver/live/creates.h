/*
 * creates: many new certificates, few statements.
 *
 * One waits until one of at most two statements in flight is done; then all
 * that wait go together, in one transaction, and each is answered after its
 * commit.  With little to do a batch is one certificate, and nothing waits on
 * a timer.  One that the database refuses fails nobody else: a batch with such
 * a one left nothing behind and goes again in halves, until it stands alone;
 * then its op asks by itself and hears why.
 */
#ifndef APISERVER_LIVE_CREATES_H
#define APISERVER_LIVE_CREATES_H

#include <stddef.h>

#include "common/base/rc.h"
#include "common/db/db.h"
#include "common/loop/loop.h"
#include "common/op/op.h"

struct creates; /* defined in creates.c */
struct create;  /* defined in creates.c */

enum create_end {
	CREATE_WAITS, /* nothing is known yet */
	CREATE_MADE,
	CREATE_ALONE,  /* it was not made: ask for it by itself */
	CREATE_FAILED, /* create_code; what it came to may be unknown */
};

struct creates *creates_new(struct loop *l, struct db_pool *pool);
/* No op may be waiting. */
void creates_free(struct creates *s);
/* given, as Q_CERT_CREATE has it, lives in op's arena; the others are copied.
 * Park op: it is woken at the end.  The create ends with op. */
struct create *creates_add(struct creates *s, struct op *op, const char *given,
    const char *actor, const char *actor_type);
enum create_end create_end(const struct create *c);
/* After CREATE_MADE: a row with the columns of Q_CERT_CREATE, for as long as
 * the op lives. */
const struct db_result *create_row(const struct create *c, size_t *out_row);
/* After CREATE_FAILED. */
rc create_code(const struct create *c) MUST_CHECK;

#endif
