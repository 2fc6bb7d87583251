/*
 * duties: the table of all duties (scheduler/duties.def), and the steps of
 * those that are more than one statement, one file each.
 */
#ifndef SCHEDULER_DUTIES_DUTIES_H
#define SCHEDULER_DUTIES_DUTIES_H

#include <stddef.h>

#include "common/op/op.h"
#include "scheduler/duty.h"

/* Rows one statement touches at most: short transactions, whose locks nobody
 * waits for long. */
#define DUTY_CHUNK 1000
#define DUTY_CHUNK_TEXT "1000"
/* Less at a time: nobody waits for it, and most of it may have to stay. */
#define DUTY_GENTLE_CHUNK 150

extern const struct duty_def duty_table[];
extern const size_t duty_table_n;

/* The configuration key of a duty's interval, and its row in a table of keys.
 */
#define DUTY_INTERVAL_KEY(title) #title "_interval"
#define DUTY_KEY_ROW(title, env, dflt, min, max, bound_s, how, does) \
	{DUTY_INTERVAL_KEY(title), env, CFG_DURATION, dflt, min, max, 0, \
	    "interval of the duty " #title ": " does},

/* The duty that is one statement. */
op_step duty_statement;

op_step duty_audit_chain_verify;
op_step duty_audit_retention;
op_step duty_audit_sealing;
op_step duty_event_alerts;
op_step duty_expiry_alerts;
op_step duty_job_backstop;
op_step duty_policy_scan;
op_step duty_renewal_scan;

#endif
