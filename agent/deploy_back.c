/*
 * The way back of a deployment that failed: what was served before is put in
 * place again, reloaded, and proven by a handshake like the way forward.
 */
#include <string.h>

#include "agent/deploy_int.h"
#include "common/base/fault.h"

static op_step deploy_swapped_back;
static op_step deploy_back_proven;
static op_step deploy_back_not_proven;

const char *
deploy_program_failure(struct op *op, const char *what, const char *const *argv)
{
	const struct call_output *o = call_output(op);

	if (o->code == RC_OK && o->exit_status == 0)
		return NULL;
	if (o->code == RC_TIMEOUT)
		return op_printf(op, "%s (%s) did not end within %d s", what,
		    argv[0], DEPLOY_PROGRAM_MS / 1000);
	if (o->code != RC_OK)
		return op_printf(op, "%s: %s", what, o->text);
	return op_printf(op, "%s (%s) ended with status %d: %s", what, argv[0],
	    o->exit_status, o->text);
}

/* Only to what is worth serving.  The operator's own files come back also
 * when they have expired, as long as nothing was reloaded. */
static bool
may_go_back(struct op *op, struct deploy *d)
{
	const char *previous = d->j.previous;
	bool is_usable = install_is_usable(op_arena(op), &d->paths, previous,
	    &d->back_fingerprint);

	if (d->j.is_previous_revoked)
		return false;
	if (d->j.is_loaded)
		return is_usable;
	return is_usable || previous[0] == '\0' || install_is_adopted(previous);
}

static const char *
stay(struct op *op, struct deploy *d, const char *why)
{
	install_settle(op_arena(op), &d->paths);
	return op_printf(op,
	    "%s; the pair before it is %s, so the new one stays", why,
	    d->j.is_previous_revoked ? "revoked" : "missing or expired");
}

const char *
deploy_undo(struct op *op, const char *why)
{
	struct deploy *d = op_state(op, sizeof(*d));
	const char *target = op_printf(op, "v/%s", d->j.version);
	const char *back, *how = "";
	struct arena *a = op_arena(op);

	if (install_current(a, &d->paths, &back) != RC_OK)
		return why;
	if (strcmp(back, target) == 0) {
		back = d->j.previous;
		if (!back || strcmp(back, target) == 0)
			return why; /* it stood there before */
		if (!may_go_back(op, d))
			return stay(op, d, why);
	}
	if (install_back(a, &d->paths, back, &how) == RC_OK)
		return why;
	return op_printf(op, "%s; and swapping back failed: %s", why, how);
}

enum op_next
deploy_swap_back(struct op *op, const char *why)
{
	struct deploy *d = op_state(op, sizeof(*d));
	const char *how = "";

	d->failure = why;
	if (strcmp(d->j.previous, op_printf(op, "v/%s", d->j.version)) == 0)
		return deploy_failed(op, why); /* it stood there before */
	if (!may_go_back(op, d)) {
		d->failure = stay(op, d, why);
		return deploy_failed(op, d->failure);
	}
	if (install_back(op_arena(op), &d->paths, d->j.previous, &how) !=
	    RC_OK) {
		d->failure =
		    op_printf(op, "%s; and swapping back failed: %s", why, how);
		return deploy_failed(op, d->failure);
	}
	if (d->j.previous[0] == '\0') {
		d->failure = op_printf(op,
		    "%s; nothing stood there before, so the new pair was taken "
		    "away again",
		    why);
		return deploy_failed(op, d->failure);
	}
	if (!d->plan.reload_argv[0])
		return op_goto(op, deploy_swapped_back);
	return call_program(op, d->plan.reload_argv, true, DEPLOY_PROGRAM_MS,
	    deploy_swapped_back);
}

static enum op_next
deploy_swapped_back(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	const char *why =
	    d->plan.reload_argv[0]
		? deploy_program_failure(op, "the reload after swapping back",
		      d->plan.reload_argv)
		: NULL;

	fault_point("agent.install.swapped_back");
	if (why)
		d->failure = op_printf(op, "%s; %s", d->failure, why);
	/* Where the new pair was never loaded, what runs never changed. */
	if (why || !d->j.is_loaded || !d->plan.host)
		return deploy_failed(op, d->failure);
	return deploy_prove(op, d->back_fingerprint, deploy_back_proven,
	    deploy_back_not_proven);
}

static enum op_next
deploy_back_proven(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));

	return deploy_failed(op, d->failure);
}

static enum op_next
deploy_back_not_proven(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	const struct call_probe *p = call_probe(op);

	d->failure = op_printf(op,
	    "%s; swapped back, but %s:%d does not serve the pair before it "
	    "either: %s",
	    d->failure, d->plan.host, d->plan.port,
	    p->code == RC_OK ? p->fingerprint : p->error);
	return deploy_failed(op, d->failure);
}
