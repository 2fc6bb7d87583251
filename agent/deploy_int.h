/*
 * deploy_int: what the parts of a deployment share: deploy.c puts the
 * pair in place and proves it, deploy_back.c goes back, deploy_report.c says
 * how it ended.
 */
#ifndef AGENT_DEPLOY_INT_H
#define AGENT_DEPLOY_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/call.h"
#include "agent/install.h"
#include "agent/journal.h"
#include "agent/target.h"
#include "agent/work.h"

#define DEPLOY_CALL_MS 30000
#define DEPLOY_STEP_LIMIT_MS 300000
#define DEPLOY_PROGRAM_MS 30000
#define DEPLOY_PROVE_WAIT_MS 50
#define DEPLOY_PROVE_WAIT_MAX_MS 2000

/* The op's state; its arg is the struct work. */
struct deploy {
	struct install_journal j;
	struct target_plan plan;
	struct install_paths paths;
	const char *failure; /* NULL while all is well */
	const char *seen;    /* fingerprint the handshake saw, or "" */
	int64_t reloads, probes, prove_wait_ms;
	int proofs;       /* in a row */
	int64_t delay_ms; /* back-off of the call that is under way */
	bool is_proof_failure;
	bool is_loaded; /* the server was told to load the new pair */
	const char *back_fingerprint; /* of the pair before it, or "" */
};

/* NULL when the last program ended with 0, else what to say. */
const char *deploy_program_failure(struct op *op, const char *what,
    const char *const *argv);
/* What to ask the server for; NULL: nothing in particular. */
const char *deploy_server_name(struct op *op, const struct deploy *d);
/* The new pair does not serve: puts back what was before, reports why. */
enum op_next deploy_swap_back(struct op *op, const char *why);
/* Ends the work with this reason, unless there is one already: reports it. */
enum op_next deploy_failed(struct op *op, const char *why);
/* The answer to the last call leaves the matter open: step again, later. */
enum op_next deploy_again(struct op *op, op_step *step);
/* Sends the proof, or its failure, and then the report. */
op_step deploy_verify;
/* Sends the report alone, where nothing was to be proven. */
op_step deploy_report;

#endif
