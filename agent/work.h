/*
 * work: one item of the agent's work, as the server gave it.
 */
#ifndef AGENT_WORK_H
#define AGENT_WORK_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/agent.h"
#include "common/op/op.h"

/* Owned by poll.c from the answer that named it until its op ended. */
struct work {
	struct agent *agent;
	struct poll *poll;
	struct op *op;
	char job[129];
	char certificate[129];
	char target[129]; /* deployments */
	char type[32];    /* target type */
	char *item_json;  /* the item's text; for a resumed one the journal's */
	bool is_deployment;
	bool is_resumed; /* from an open journal, not from the server */
	bool is_ended;   /* brought to its end, or put off by itself */
	char *dir;       /* the directory it writes, once claimed */
	struct work *next;
};

/* False while another item in hand writes that directory; else it is ours
 * until the op's end. */
bool poll_claim_dir(struct work *w, const char *dir);

/* First steps of the two kinds of work; op arg is the struct work. */
op_step enrol_start;
op_step deploy_start;

#endif
