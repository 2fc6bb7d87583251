/*
 * op_rig: ops on the simulated loop and the scripted pool, and what became of
 * the one that a test starts.
 */
#ifndef TESTS_UNIT_COMMON_OP_OP_RIG_H
#define TESTS_UNIT_COMMON_OP_OP_RIG_H

#include "common/op/op.h"
#include "tests/support/db_script.h"

extern struct loop *loop;
extern struct db_pool *pool;
extern char trace[256]; /* what the steps did */
extern int ends;        /* calls of on_end */
extern rc end_code;
extern char end_message[256];

/* Adds a word to trace. */
void mark(const char *what);
void on_end(struct op *op, rc code, const char *message);
void begin(void);
struct op *start(op_step *first);
/* Nothing is left to happen, and the script was followed. */
void end(void);

/* Steps: a query, whose answer must not come; no step at all. */
op_step ask;
op_step not_reached;
op_step done_at_once;

#endif
