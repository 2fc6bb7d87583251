/*
 * refusals: what the gate refuses (401, 403, 429), told and audited.
 *
 * Once a second a log line for each address with what it was refused; and an
 * audit event, the first at once, the next a minute later with the count of
 * all since, so that a flood fills neither.  64 addresses are told apart; what
 * comes from more counts as of "others".  Event loop only.
 */
#ifndef APISERVER_POLICY_REFUSALS_H
#define APISERVER_POLICY_REFUSALS_H

#include "common/db/db.h"
#include "common/loop/loop.h"

struct refusals; /* defined in refusals.c */

struct refusals *refusals_new(struct loop *l, struct db_pool *pool);
void refusals_free(struct refusals *f);
/* actor: "" when it is not known; method and pattern: what was asked for.
 * Texts are copied, and cut. */
void refusals_note(struct refusals *f, const char *address, int status,
    const char *actor, const char *method, const char *pattern);

#endif
