/*
 * op: one piece of work made of named steps with waits between them.
 *
 * An HTTP request, a duty run, a job batch and an agent's task are ops.  A
 * step never blocks and ends in one `return op_*()`.  The driver (op_resume,
 * internal) is the only caller of steps: it turns a database error, the
 * deadline or a vanished peer into the end of the op, so steps see success
 * only.  A result that is ready at once still goes through the loop.  The op
 * is freed one turn after it ended.  Nothing on the stack survives a wait;
 * state lives in op_state() and the op's arena.
 */
#ifndef COMMON_OP_OP_H
#define COMMON_OP_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/db/db.h"
#include "common/loop/loop.h"

struct op; /* defined in op.c */

/* What a step returns; made by the op_* functions only. */
enum op_next { OP_WAITING, OP_ENDED };
typedef enum op_next op_step(struct op *op);

struct op_env {
	struct loop *loop;
	struct db_pool *pool; /* may be NULL when the op asks no database */
	int64_t deadline_ms;  /* for the whole op, from its start */
	const char *name;     /* for logs: "cert_renew", "duty renewal_scan" */
	void *owner;          /* what op_owner() gives back */
	/* Called once, when the op has ended, before it is freed.  message is
	 * for the client (see op_fail) and "" after op_done. */
	void (*on_end)(struct op *op, rc code, const char *message);
};

/* Starts on the next turn with first. */
struct op *op_start(const struct op_env *env, op_step *first);
/* Ends the op from outside with that code (peer gone, shutdown). */
void op_abort(struct op *op, rc code);

void *op_owner(const struct op *op);
const char *op_name(const struct op *op);
/* A number for logs, unique in the process. */
uint64_t op_id(const struct op *op);
struct arena *op_arena(struct op *op);
struct loop *op_loop(const struct op *op);
/* The op's own struct: zeroed at the first call, the same at each later one,
 * which may ask for what it begins with. */
void *op_state(struct op *op, size_t size);
/*
 * For work in rounds: op_mark says that what the op has by now stays;
 * op_rewind, at the end of a round, frees all that came since, results
 * included, and with that what op_state does not hold by value.
 */
void op_mark(struct op *op);
void op_rewind(struct op *op);
/* Milliseconds left before the deadline, never negative. */
int64_t op_left_ms(const struct op *op);
/* For who waits on an op's behalf between two of its steps: what op_lent gives
 * back.  One at a time; NULL: nobody does. */
void op_lend(struct op *op, void *of_helper);
void *op_lent(const struct op *op);
/* Moves the deadline to ms from now: for parked requests. */
void op_extend(struct op *op, int64_t ms);

/* --- the ways a step can end --- */
enum op_next op_done(struct op *op);
/* message is for clients; internal details go to the log. */
enum op_next op_fail(struct op *op, rc code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* One statement, nparams text parameters (const char *, NULL is SQL NULL). */
enum op_next op_query(struct op *op, enum query q, op_step *next,
    size_t nparams, const char *const *params);
#define OP_QUERY(op, q, next, ...) \
	op_query((op), (q), (next), \
	    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), \
	    (const char *const[]){__VA_ARGS__})
/* No parameters. */
#define OP_QUERY0(op, q, next) op_query((op), (q), (next), 0, NULL)
/* Several statements, one transaction, one round trip. */
enum op_next op_batch(struct op *op, op_step *next, size_t n,
    const struct db_stmt *stmts);
/* next runs after ms. */
enum op_next op_sleep(struct op *op, int64_t ms, op_step *next);
/* Waits for op_wake, or for max_ms; op_woken() tells which. */
enum op_next op_park(struct op *op, int64_t max_ms, op_step *next);
/* next runs on the next turn. */
enum op_next op_goto(struct op *op, op_step *next);

/* Ends a park early; no-op unless parked. */
void op_wake(struct op *op);
bool op_woken(const struct op *op);
/* Database errors go to this step instead of ending the op (once, for the
 * next wait only); the step reads op_caught. */
void op_catch(struct op *op, op_step *handler);
/* What a client hears of a failure with SQLSTATE 55P03. */
#define OP_HELD_WORDS \
	"somebody's open transaction in the database holds what this would " \
	"change, try again"
/* The failure that led to the op_catch step. */
rc op_caught(const struct op *op, const struct db_error **out_error);

/* --- the result of the last query (or of statement i of the last batch);
 *     valid until the op ends --- */
size_t op_rows(const struct op *op);
/* n rows from that one on, which somebody asked for on behalf of several, are
 * read as if the op had: until its next query.  They live as long as it. */
void op_show(struct op *op, const struct db_result *rows, size_t from,
    size_t n);
/* The whole result, whatever is shown. */
struct db_result *op_result(const struct op *op, size_t i);
const char *op_text(const struct op *op, size_t row, const char *col);
int64_t op_i64(const struct op *op, size_t row, const char *col);
bool op_bool(const struct op *op, size_t row, const char *col);
bool op_is_null(const struct op *op, size_t row, const char *col);
/* In the op's arena. */
char *op_printf(struct op *op, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
