#include "worker/issuers/script_run.h"

#include <inttypes.h>

#include "common/loop/spawn.h"
#include "worker/issuers/script_rules.h"

struct run {                 /* in the arena */
	struct spawn *spawn; /* NULL: over */
	script_run_fn *done;
	void *arg;
};

static void
run_end(void *arg)
{
	struct run *r = arg;

	spawn_cancel(r->spawn);
}

static void
on_end(void *arg, rc code, int exit_status, const char *output)
{
	struct run *r = arg;

	r->spawn = NULL;
	r->done(r->arg, code, exit_status, output);
}

rc
script_run(const struct issuer_env *env, struct arena *a,
    const struct script_run *what, script_run_fn *done, void *arg)
{
	/* A little later than ours: it is for when we are gone. */
	const char *argv[5 + SCRIPT_ARGS_MAX + 1] = {"timeout", "-s", "KILL",
	    arena_printf(a, "%" PRId64 ".9", what->limit_ms / 1000),
	    what->script};
	struct spawn_opts opts = {
	    .argv = argv,
	    .env = what->env,
	    .timeout_ms = what->limit_ms,
	    .stderr_only = true,
	    .keep_end = true,
	};
	struct run *r = arena_alloc(a, sizeof(*r));
	rc ret;

	for (size_t i = 0; i < SCRIPT_ARGS_MAX && what->args[i]; i++)
		argv[5 + i] = what->args[i];
	r->done = done;
	r->arg = arg;
	ret = spawn_run(env->loop, &opts, on_end, r, &r->spawn);
	if (ret == RC_OK)
		arena_defer(a, run_end, r);
	return ret;
}

const char *
script_run_words(struct arena *a, const char *name, rc code, int exit_status,
    const char *output)
{
	const char *line = script_rules_last_line(a, output), *how;

	if (code != RC_OK)
		how = arena_printf(a, "%s did not end in time", name);
	else if (exit_status > SCRIPT_EXIT_SIGNAL)
		how = arena_printf(a, "%s was ended by signal %d", name,
		    exit_status - SCRIPT_EXIT_SIGNAL);
	else
		how = arena_printf(a, "%s ended with status %d", name,
		    exit_status);
	return line[0] ? arena_printf(a, "%s: \"%s\"", how, line) : how;
}
