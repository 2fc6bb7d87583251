/*
 * life: an agent from its configuration to its end, whoever holds the process.
 *
 * A process of one agent (main.c), or of many in one loop, each with its own
 * configuration and directories, gives loop, cfg and hostname, and then http
 * and prober, which several may share.
 */
#ifndef AGENT_LIFE_H
#define AGENT_LIFE_H

#include <stdbool.h>

#include "agent/agent.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

/* What the configuration says, as far as no directory is needed; every mistake
 * is logged.  life_end frees what it made, also after a failure. */
rc life_configure(struct agent *a) MUST_CHECK;
/* Once home_open has opened the directories: loads or makes the identity,
 * registers where there is none, and then works.  A failure is logged. */
rc life_begin(struct agent *a) MUST_CHECK;
/* Nothing new is begun; what is in hand goes on. */
void life_stop(struct agent *a);
bool life_is_idle(const struct agent *a);
/* What is still under way ends here as at a kill: the journals know.  Wipes
 * the key and closes the directories. */
void life_end(struct agent *a);

#endif
