/*
 * heartbeat: an agent says that it lives.
 */
#ifndef APISERVER_HANDLERS_AGENTS_HEARTBEAT_H
#define APISERVER_HANDLERS_AGENTS_HEARTBEAT_H

#include "common/op/op.h"

/* POST /api/v1/agents/{id}/heartbeat */
op_step agent_heartbeat_start;

#endif
