/*
 * What the steps of a run need: its parameters, its bound, its count.
 */
#include <string.h>

#include "common/base/buf.h"
#include "common/bus/frame.h"
#include "scheduler/duty_int.h"

static const struct duty *
duty_of(const struct op *op)
{
	return op_owner(op);
}

const struct duty_opts *
duty_opts(const struct op *op)
{
	return &duty_of(op)->all->o;
}

const struct duty_def *
duty_def(const struct op *op)
{
	return duty_of(op)->def;
}

int64_t
duty_setting(const struct op *op, const char *key)
{
	const struct duty_opts *o = duty_opts(op);

	return o->setting(o->arg, key);
}

const char *
duty_incarnation(const struct op *op)
{
	return duty_opts(op)->incarnation;
}

const char *
duty_term(const struct op *op)
{
	return duty_of(op)->term;
}

void
duty_add_rows(struct op *op, int64_t rows)
{
	struct duty *d = op_owner(op);

	d->rows += rows;
}

int64_t
duty_rows(const struct op *op)
{
	return duty_of(op)->rows;
}

int64_t
duty_elapsed_ms(const struct op *op)
{
	return loop_now_ms(op_loop(op)) - duty_of(op)->started_ms;
}

int64_t
duty_bound_ms(const struct duty *d)
{
	return d->def->timeout_ms > 0 ? d->def->timeout_ms : d->interval_ms;
}

int64_t
duty_budget_ms(const struct op *op)
{
	return duty_bound_ms(duty_of(op));
}

bool
duty_is_woken(const struct op *op)
{
	return duty_of(op)->is_woken;
}

bool
duty_is_over(const struct op *op)
{
	return duty_elapsed_ms(op) >= duty_budget_ms(op);
}

enum op_next
duty_term_over(struct op *op)
{
	return op_fail(op, RC_LEASE_LOST, "the term is over");
}

void
duty_wake_agents(struct op *op, const char *agents)
{
	const struct duty_opts *o = duty_opts(op);
	struct buf body;

	if (strcmp(agents, "[]") == 0 || agents[0] == '\0')
		return;
	buf_init(&body, FRAME_BODY_MAX);
	buf_printf(&body, "{\"agents\":%s}", agents);
	/* Too many for one frame: agents look by themselves every second. */
	if (buf_ok(&body))
		o->publish(o->arg, buf_cstr(&body), body.len);
	buf_fini(&body);
}
