/*
 * home: the agent's own directories, opened once and used by descriptors.
 *
 *   <state dir>/identity.json, <state dir>/journal/   0700
 *   <key dir>/                                        0700, locked
 *
 * One that is missing is made.  One that is there is taken only when nobody
 * else could have prepared it: never a link, of this user, closed to others,
 * and empty or holding what an agent puts there; and only where nobody else
 * can exchange it, at any of the names above it.  Nothing is made to fit.
 */
#ifndef AGENT_HOME_H
#define AGENT_HOME_H

#include "agent/agent.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

/* Fills the descriptors of a from its configuration; what is wrong and how to
 * mend it is logged.  home_close closes them on every path. */
rc home_open(struct agent *a) MUST_CHECK;
/* Whether home_open would be refused, as far as can be seen without making
 * anything; logs likewise. */
rc home_check(const struct agent *a) MUST_CHECK;
void home_close(struct agent *a);

#endif
