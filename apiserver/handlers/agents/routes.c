/*
 * Routes of agents, and of what they report on their jobs.
 */
#include "apiserver/handlers/agents/agents.h"
#include "apiserver/handlers/agents/heartbeat.h"
#include "apiserver/policy/route.h"

#define AGENTS "/api/v1/agents"
#define JOBS "/api/v1/jobs"

static const struct route rows[] = {
    {"GET", AGENTS, ROUTE_PERMISSION, "agent.read", agent_list_start, 0},
    {"POST", AGENTS, ROUTE_REGISTER, "agent.edit", agent_register_start, 0},
    {"GET", AGENTS "/retired", ROUTE_PERMISSION, "agent.read",
	agent_list_retired_start, 0},
    {"GET", AGENTS "/{id}", ROUTE_PERMISSION, "agent.read", agent_get_start, 0},
    {"DELETE", AGENTS "/{id}", ROUTE_PERMISSION, "agent.retire",
	agent_retire_start, 0},
    {"POST", AGENTS "/{id}/heartbeat", ROUTE_AGENT, "agent.heartbeat",
	agent_heartbeat_start, 0},
    {"GET", AGENTS "/{id}/work", ROUTE_AGENT, "agent.job.poll",
	agent_work_start, 0},
    {"POST", AGENTS "/{id}/csr", ROUTE_AGENT, "agent.job.poll", agent_csr_start,
	0},
    {"GET", AGENTS "/{id}/certificates/{cert_id}", ROUTE_AGENT, "cert.read",
	agent_pickup_start, 0},
    {"POST", AGENTS "/{id}/jobs/{job_id}/status", ROUTE_AGENT,
	"agent.job.complete", agent_report_start, 0},
    {"POST", JOBS "/{id}/verify", ROUTE_PERMISSION, "verification.run",
	job_verify_start, .is_for_own_keys = true},
    {"GET", JOBS "/{id}/verification", ROUTE_PERMISSION, "verification.read",
	job_verification_start, 0},
};

const struct route_area routes_agents = {"agents", rows, ARRAY_LEN(rows)};
