#include "common/job/job_fsm.h"

#include <string.h>

static const struct job_fsm_row rows[] = {
    {JOB_NONE, JOB_EV_CREATE, JOB_PENDING, "all it needs is there"},
    {JOB_NONE, JOB_EV_CREATE_AWAITING_CSR, JOB_AWAITING_CSR,
	"an agent holds the key"},
    {JOB_NONE, JOB_EV_CREATE_AWAITING_APPROVAL, JOB_AWAITING_APPROVAL,
	"the profile asks for approval"},

    {JOB_AWAITING_APPROVAL, JOB_EV_APPROVE, JOB_AWAITING_CSR,
	"the agent's turn"},
    {JOB_AWAITING_APPROVAL, JOB_EV_APPROVE_READY, JOB_PENDING,
	"the CSR is there already"},
    {JOB_AWAITING_APPROVAL, JOB_EV_REJECT, JOB_CANCELLED, "by a person"},
    {JOB_AWAITING_APPROVAL, JOB_EV_EXPIRE, JOB_CANCELLED,
	"nobody decided in time"},
    {JOB_AWAITING_APPROVAL, JOB_EV_CANCEL, JOB_CANCELLED, "by a person"},

    {JOB_AWAITING_CSR, JOB_EV_CSR, JOB_PENDING, "stored, to be signed"},
    {JOB_AWAITING_CSR, JOB_EV_TIMEOUT, JOB_FAILED, "no CSR came in time"},
    {JOB_AWAITING_CSR, JOB_EV_AGENT_FAIL, JOB_FAILED,
	"the agent cannot make a key"},
    {JOB_AWAITING_CSR, JOB_EV_CANCEL, JOB_CANCELLED, "by a person"},
    {JOB_AWAITING_CSR, JOB_EV_ANEW_APPROVAL, JOB_AWAITING_APPROVAL,
	"another order than was approved"},

    {JOB_PENDING, JOB_EV_CLAIM, JOB_RUNNING, "leased to a worker or agent"},
    {JOB_PENDING, JOB_EV_CANCEL, JOB_CANCELLED, "by a person"},
    {JOB_PENDING, JOB_EV_FAIL, JOB_FAILED, "makes no sense, or agent gone"},
    {JOB_PENDING, JOB_EV_ANEW, JOB_AWAITING_CSR, "the order changed"},
    {JOB_PENDING, JOB_EV_ANEW_APPROVAL, JOB_AWAITING_APPROVAL,
	"the order changed, and is to be approved"},

    {JOB_RUNNING, JOB_EV_COMPLETE, JOB_COMPLETED, "result in the same commit"},
    {JOB_RUNNING, JOB_EV_FAIL, JOB_FAILED, "attempts used up, or hopeless"},
    {JOB_RUNNING, JOB_EV_RETRY, JOB_PENDING, "backs off by run_after"},
    {JOB_RUNNING, JOB_EV_RELEASE, JOB_PENDING,
	"lease lost or budget's end; not counted"},
    {JOB_RUNNING, JOB_EV_CANCEL, JOB_CANCELLED, "before the outside effect"},
    {JOB_RUNNING, JOB_EV_ANEW, JOB_AWAITING_CSR,
	"the order changed while it was signed"},
    {JOB_RUNNING, JOB_EV_ANEW_APPROVAL, JOB_AWAITING_APPROVAL,
	"the same, and is to be approved"},
};

#define JOB_STATE_NAME(code, name, final) [code] = name,
static const char *const state_names[JOB_STATE_COUNT] = {
    JOB_STATE_TABLE(JOB_STATE_NAME)};
#undef JOB_STATE_NAME

#define JOB_STATE_FINAL(code, name, final) [code] = final,
static const bool state_final[JOB_STATE_COUNT] = {
    JOB_STATE_TABLE(JOB_STATE_FINAL)};
#undef JOB_STATE_FINAL

#define JOB_EVENT_NAME(code, name) [code] = name,
static const char *const event_names[JOB_EVENT_COUNT] = {
    JOB_EVENT_TABLE(JOB_EVENT_NAME)};
#undef JOB_EVENT_NAME

const char *
job_state_name(enum job_state state)
{
	return (size_t)state < JOB_STATE_COUNT ? state_names[state] : "?";
}

rc
job_state_parse(const char *text, enum job_state *out)
{
	for (size_t i = JOB_NONE + 1; i < JOB_STATE_COUNT; i++) {
		if (strcmp(text, state_names[i]) == 0) {
			*out = (enum job_state)i;
			return RC_OK;
		}
	}
	return RC_INVALID;
}

bool
job_state_is_final(enum job_state state)
{
	return (size_t)state < JOB_STATE_COUNT && state_final[state];
}

const char *
job_event_name(enum job_event event)
{
	return (size_t)event < JOB_EVENT_COUNT ? event_names[event] : "?";
}

rc
job_fsm_next(enum job_state state, enum job_event event, enum job_state *out)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].from == state && rows[i].event == event) {
			*out = rows[i].to;
			return RC_OK;
		}
	}
	return RC_CONFLICT;
}

const struct job_fsm_row *
job_fsm_rows(size_t *out_n)
{
	*out_n = ARRAY_LEN(rows);
	return rows;
}
