/*
 * work: the items of the agent's work that are in hand.
 *
 * Two items never write one directory at the same time.
 */
#ifndef AGENT_WORK_H
#define AGENT_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/agent.h"
#include "common/op/op.h"

struct work_list {
	struct work *first;
	int64_t n;
};

/* In the list from the answer that named it until its op ended. */
struct work {
	struct agent *agent;
	struct work_list *list;
	void *owner; /* of whoever started it */
	struct op *op;
	char job[129];
	char certificate[129];
	char target[129]; /* deployments */
	char type[32];    /* target type */
	char *item_json;  /* the item's text; for a resumed one the journal's */
	bool is_deployment;
	bool is_test;    /* of a target; job is the test's id */
	bool is_resumed; /* from an open journal, not from the server */
	bool is_put_off; /* this host cannot just now: see take_items */
	bool is_ended;   /* brought to its end, or put off by itself */
	char *dir;       /* the directory it writes, once claimed */
	struct work *next;
};

/* Puts a work of the caller's making in front; the list frees nothing. */
void work_add(struct work_list *list, struct work *w);
void work_remove(struct work *w);
/* Frees what it holds, and itself; NULL is a no-op. */
void work_free(struct work *w);
bool work_has_job(const struct work_list *list, const char *job);
/* False while another item in hand writes that directory; else it is w's
 * until its end. */
bool work_claim_dir(struct work *w, const char *dir);

/* First steps of the kinds of work; op arg is the struct work. */
op_step enrol_start;
op_step deploy_start;
op_step target_test_start;

#endif
