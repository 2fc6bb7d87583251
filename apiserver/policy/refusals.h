/*
 * refusals: what the gate refuses (401, 403, 429), and what the rules of roles
 * and keys do (409, 410: counted as forbidden), told and audited.
 *
 * A log line for each address with what it was refused, limited; and an
 * audit event, the first at once, the next a minute later with the count of
 * all since, so that a flood fills neither; what the database did not take is
 * counted again.  64 addresses are told apart; what comes from more counts as
 * of "others".  Event loop only.
 */
#ifndef APISERVER_POLICY_REFUSALS_H
#define APISERVER_POLICY_REFUSALS_H

#include "common/db/db.h"
#include "common/loop/loop.h"

struct refusals; /* defined in refusals.c */

struct refusals *refusals_new(struct loop *l, struct db_pool *pool);
/* The log tells of what is missing in the audit trail then. */
void refusals_free(struct refusals *f);
/* Writes what is left, at the process's end.  done is called once that is
 * written, could not be, or took longer than patience_ms; never from inside
 * this call. */
void refusals_flush(struct refusals *f, int64_t patience_ms, loop_fn *done,
    void *arg);
/* actor: "" when it is not known; method and pattern: what was asked for.
 * Texts are copied, and cut. */
void refusals_note(struct refusals *f, const char *address, int status,
    const char *actor, const char *method, const char *pattern);

#endif
