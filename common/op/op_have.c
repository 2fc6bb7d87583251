/*
 * What an op has: results, state, memory, time.
 */
#include <stdarg.h>

#include "common/log/log.h"
#include "common/op/op_int.h"

/* --- results --- */

struct db_result *
op_result(const struct op *op, size_t i)
{
	if (i >= op->nresults)
		log_fatal("OP-RESULT", "%s: no result %zu", op->env.name, i);
	return op->results[i];
}

void
op_show(struct op *op, const struct db_result *rows, size_t from, size_t n)
{
	op->shown = rows;
	op->shown_from = from;
	op->nshown = n;
}

/* Of a batch: the last statement's. */
static const struct db_result *
last_result(const struct op *op)
{
	if (op->shown)
		return op->shown;
	if (op->nresults == 0)
		log_fatal("OP-RESULT", "%s: no result", op->env.name);
	return op->results[op->nresults - 1];
}

/* Where the op's row stands in it. */
static size_t
row_at(const struct op *op, size_t row)
{
	return op->shown ? op->shown_from + row : row;
}

size_t
op_rows(const struct op *op)
{
	return op->shown ? op->nshown : db_nrows(last_result(op));
}

const char *
op_text(const struct op *op, size_t row, const char *col)
{
	const struct db_result *r = last_result(op);

	return db_text(r, row_at(op, row), db_col(r, col));
}

int64_t
op_i64(const struct op *op, size_t row, const char *col)
{
	const struct db_result *r = last_result(op);

	return db_i64(r, row_at(op, row), db_col(r, col));
}

bool
op_bool(const struct op *op, size_t row, const char *col)
{
	const struct db_result *r = last_result(op);

	return db_bool(r, row_at(op, row), db_col(r, col));
}

bool
op_is_null(const struct op *op, size_t row, const char *col)
{
	const struct db_result *r = last_result(op);

	return db_is_null(r, row_at(op, row), db_col(r, col));
}

/* --- what an op has --- */

void
op_lend(struct op *op, void *of_helper)
{
	op->lent = of_helper;
}

void *
op_lent(const struct op *op)
{
	return op->lent;
}

void *
op_owner(const struct op *op)
{
	return op->env.owner;
}

const char *
op_name(const struct op *op)
{
	return op->env.name;
}

uint64_t
op_id(const struct op *op)
{
	return op->id;
}

struct arena *
op_arena(struct op *op)
{
	return op->arena;
}

struct loop *
op_loop(const struct op *op)
{
	return op->env.loop;
}

void *
op_state(struct op *op, size_t size)
{
	if (!op->state) {
		op->state = arena_alloc(op->arena, size);
		op->state_size = size;
	} else if (size > op->state_size) {
		log_fatal("OP-STATE", "%s: state of %zu bytes, not %zu",
		    op->env.name, op->state_size, size);
	}
	return op->state;
}

void
op_mark(struct op *op)
{
	op->mark = arena_mark(op->arena);
}

void
op_rewind(struct op *op)
{
	if (!op->mark.cur)
		log_fatal("OP-STEP", "%s: no mark", op->env.name);
	op->results = NULL;
	op->nresults = 0;
	op->shown = NULL;
	op->lent = NULL;
	op->error = NULL;
	arena_rewind(op->arena, &op->mark);
}

int64_t
op_left_ms(const struct op *op)
{
	int64_t left_ms = op->deadline_at_ms - loop_now_ms(op->env.loop);

	return left_ms > 0 ? left_ms : 0;
}

void
op_extend(struct op *op, int64_t ms)
{
	if (op->has_ended)
		return;
	op->deadline_at_ms = loop_now_ms(op->env.loop) + ms;
	timer_arm(op->deadline, ms);
}

char *
op_printf(struct op *op, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = arena_vprintf(op->arena, fmt, ap);
	va_end(ap);
	return text;
}
