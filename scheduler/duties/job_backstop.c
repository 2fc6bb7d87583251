/*
 * The job processor's tick: a look at every lane from its beginning.  Hints
 * and the look once a second find work earlier; this one does not depend on
 * any of the dispatcher's own timers.
 */
#include "scheduler/duties/duties.h"

enum op_next
duty_job_backstop(struct op *op)
{
	const struct duty_opts *o = duty_opts(op);

	o->full_look(o->arg);
	return op_done(op);
}
