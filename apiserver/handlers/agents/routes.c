/*
 * Routes of agents, and of what they report on their jobs.
 */
#include "apiserver/handlers/agents/agents.h"
#include "apiserver/handlers/agents/heartbeat.h"
#include "apiserver/policy/route.h"

#define AGENTS "/api/v1/agents"
#define JOBS "/api/v1/jobs"
#define MEMBERS "/api/v1/agent-groups/{id}/members"

#define OWN .own = {.access = ROUTE_AGENT}

static const struct route rows[] = {
    {"GET", AGENTS, "agent.read", agent_list_start, .reads = LIST_AGENTS},
    {"POST", AGENTS, "agent.edit", agent_register_start, "agent_registered",
	.own = {.access = ROUTE_REGISTER, .renderer = &render_register}},
    {"GET", AGENTS "/retired", "agent.read", agent_list_retired_start},
    {"GET", AGENTS "/{id}", "agent.read", agent_get_start},
    {"DELETE", AGENTS "/{id}", "agent.retire", agent_retire_start,
	"agent_retired agent_retirement_cascaded"},
    {"POST", AGENTS "/{id}/heartbeat", "agent.heartbeat", agent_heartbeat_start,
	ROUTE_NO_EVENT, OWN},
    {"POST", AGENTS "/{id}/served", "agent.heartbeat", agent_served_start,
	ROUTE_NO_EVENT, OWN},
    {"POST", AGENTS "/{id}/tests/{test_id}", "agent.job.report",
	agent_tested_start, ROUTE_NO_EVENT, OWN},
    {"GET", AGENTS "/{id}/work", "agent.job.poll", agent_work_start, NULL, OWN},
    {"POST", AGENTS "/{id}/csr", "agent.job.poll", agent_csr_start,
	"csr_submitted", OWN},
    {"GET", AGENTS "/{id}/certificates/{cert_id}", "cert.read",
	agent_pickup_start, NULL, OWN},
    {"POST", AGENTS "/{id}/jobs/{job_id}/status", "agent.job.complete",
	agent_report_start,
	"deployment_job_completed deployment_job_failed renewal_job_failed",
	OWN},
    {"POST", JOBS "/{id}/verify", "verification.run", job_verify_start,
	"job_verification_success job_verification_failed",
	.is_for_own_keys = true},
    {"GET", JOBS "/{id}/verification", "verification.read",
	job_verification_start},
    {"GET", MEMBERS, "agent.read", group_members_start},
    {"PUT", MEMBERS "/{agent_id}", "agent.edit", group_member_put_start,
	"update_agent_group"},
    {"DELETE", MEMBERS "/{agent_id}", "agent.edit", group_member_delete_start,
	"update_agent_group"},
};

const struct route_area routes_agents = ROUTE_API_AREA("agents", rows);
