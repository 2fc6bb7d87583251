/*
 * job_fsm: the life of a job as one table of plain rows.
 *
 * The table is the truth: the triggers by which the database refuses every
 * other change of a job's status are made from it (tools/job_fsm_diagram --sql
 * makes migrations/code/98_triggers_jobs.sql), and so is the diagram in the
 * docs.  JOB_NONE is the state before the row exists.  Read-only: any thread.
 */
#ifndef COMMON_JOB_JOB_FSM_H
#define COMMON_JOB_JOB_FSM_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

/*        code, wire spelling, final */
#define JOB_STATE_TABLE(X) \
	X(JOB_NONE, "none", false) \
	X(JOB_PENDING, "Pending", false) \
	X(JOB_RUNNING, "Running", false) \
	X(JOB_AWAITING_CSR, "AwaitingCSR", false) \
	X(JOB_AWAITING_APPROVAL, "AwaitingApproval", false) \
	X(JOB_COMPLETED, "Completed", true) \
	X(JOB_FAILED, "Failed", true) \
	X(JOB_CANCELLED, "Cancelled", true)

/*        code, name */
#define JOB_EVENT_TABLE(X) \
	X(JOB_EV_CREATE, "create") \
	X(JOB_EV_CREATE_AWAITING_CSR, "create_awaiting_csr") \
	X(JOB_EV_CREATE_AWAITING_APPROVAL, "create_awaiting_approval") \
	X(JOB_EV_APPROVE, "approve") \
	X(JOB_EV_APPROVE_READY, "approve_ready") \
	X(JOB_EV_REJECT, "reject") \
	X(JOB_EV_EXPIRE, "expire") \
	X(JOB_EV_CANCEL, "cancel") \
	X(JOB_EV_CSR, "csr") \
	X(JOB_EV_TIMEOUT, "timeout") \
	X(JOB_EV_AGENT_FAIL, "agent_fail") \
	X(JOB_EV_CLAIM, "claim") \
	X(JOB_EV_COMPLETE, "complete") \
	X(JOB_EV_FAIL, "fail") \
	X(JOB_EV_RETRY, "retry") \
	X(JOB_EV_RELEASE, "release") \
	X(JOB_EV_ANEW, "anew") \
	X(JOB_EV_ANEW_APPROVAL, "anew_approval")

#define JOB_ENUM_STATE(code, name, final) code,
enum job_state { JOB_STATE_TABLE(JOB_ENUM_STATE) JOB_STATE_COUNT };
#undef JOB_ENUM_STATE

#define JOB_ENUM_EVENT(code, name) code,
enum job_event { JOB_EVENT_TABLE(JOB_ENUM_EVENT) JOB_EVENT_COUNT };
#undef JOB_ENUM_EVENT

struct job_fsm_row {
	enum job_state from;
	enum job_event event;
	enum job_state to;
	const char *note; /* for the diagram's readers */
};

/* The wire spelling, "none" for JOB_NONE. */
const char *job_state_name(enum job_state state);
/* The wire spelling exactly, never "none"; RC_INVALID otherwise. */
rc job_state_parse(const char *text, enum job_state *out) MUST_CHECK;
/* Completed, Failed and Cancelled: nothing leads out of them. */
bool job_state_is_final(enum job_state state);
const char *job_event_name(enum job_event event);
/* RC_CONFLICT when the event is not allowed in that state. */
rc job_fsm_next(enum job_state state, enum job_event event,
    enum job_state *out) MUST_CHECK;
/* All rows, in the order of a job's life. */
const struct job_fsm_row *job_fsm_rows(size_t *out_n);

#endif
