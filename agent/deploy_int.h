/*
 * deploy_int: what the parts of a deployment share: deploy.c puts the
 * pair in place, deploy_proof.c proves it, deploy_back.c goes back,
 * deploy_report.c says how it ended.
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

/* One question to the server, asked until it is settled (deploy_proof.c). */
struct deploy_proof {
	const char *wanted; /* fingerprint */
	const char *seen;   /* the last that was shown, or "" */
	op_step *proven, *not_proven;
	int64_t tries, wait_ms;
	int in_a_row;
};

/* The op's state; its arg is the struct work. */
struct deploy {
	struct install_journal j;
	struct target_plan plan;
	struct install_paths paths;
	const char *failure; /* NULL while all is well */
	const char *seen;    /* fingerprint the handshake saw, or "" */
	int64_t reloads;
	int64_t delay_ms; /* back-off of the call that is under way */
	struct deploy_proof proof;
	bool is_proof_failure;
	bool may_have_staged;         /* a version of it may stand in T/v */
	const char *back_fingerprint; /* of the pair before it, or "" */
};

/* Where the pair of this install goes and how its server is asked, as far as
 * the host allows it; RC_INVALID with *out_why. */
rc deploy_plan(struct op *op, const struct install_journal *j,
    struct target_plan *plan, struct install_paths *paths,
    const char **out_why) MUST_CHECK;
/* What to ask the plan's server for; NULL: nothing in particular. */
const char *deploy_server_name(struct op *op, const struct target_plan *plan,
    const char *common_name);
/* NULL when the last program ended with 0, else what to say. */
const char *deploy_program_failure(struct op *op, const char *what,
    const char *const *argv);
/* Handshakes until that certificate was shown twice in a row, or the tries are
 * used up; call_probe then tells the last. */
enum op_next deploy_prove(struct op *op, const char *fingerprint,
    op_step *proven, op_step *not_proven);
/* The files could not be put in place: the paths show what they showed before,
 * unless that must not come back.  Returns why, with what came of it. */
const char *deploy_undo(struct op *op, const char *why);
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
