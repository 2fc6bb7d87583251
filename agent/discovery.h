/*
 * discovery: which certificates lie on this host, told to the server.
 *
 * Now and then the directories of CERTCTL_DISCOVERY_DIRS are walked, a few
 * files in each turn of the loop, and what is found is sent in parts of one
 * scan.  A certificate that the server has taken is sent without its text from
 * then on, until the server shows that it knows less than it was told.
 */
#ifndef AGENT_DISCOVERY_H
#define AGENT_DISCOVERY_H

#include "agent/agent.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

struct discovery; /* defined in discovery.c */

/* RC_INVALID, logged: a directory is none that could be walked. */
rc discovery_check(const struct agent *a) MUST_CHECK;
/* NULL where no directory is named. */
struct discovery *discovery_start(struct agent *a);
/* No scan from here on; one under way ends.  NULL is a no-op. */
void discovery_stop(struct discovery *d);
void discovery_free(struct discovery *d);

#endif
