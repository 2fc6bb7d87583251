#include "worker/issuers/acme_hook.h"

#include <string.h>

#include "common/loop/spawn.h"
#include "worker/issuers/script_rules.h"

#define STRING_OF(x) #x
#define DECIMAL(x) STRING_OF(x)

struct run { /* in the arena */
	struct arena *a;
	const char *script;
	struct spawn *spawn; /* NULL: over */
	acme_hook_fn *done;
	void *arg;
};

static void
run_end(void *arg)
{
	struct run *r = arg;

	if (r->spawn)
		spawn_cancel(r->spawn);
}

static void
on_end(void *arg, rc code, int exit_status, const char *output)
{
	struct run *r = arg;
	const char *line, *how;

	r->spawn = NULL;
	if (code == RC_OK && exit_status == 0) {
		r->done(r->arg, NULL);
		return;
	}
	how = code == RC_OK
		  ? arena_printf(r->a, "ended with status %d", exit_status)
		  : "did not end within " DECIMAL(ACME_HOOK_S) " s";
	line = script_rules_last_line(r->a, output);
	r->done(r->arg, arena_printf(r->a, "%s %s%s%s%s", r->script, how,
			    line[0] ? ": \"" : "", line, line[0] ? "\"" : ""));
}

rc
acme_hook_run(const struct issuer_env *env, struct arena *a,
    const struct acme_hook *hook, acme_hook_fn *done, void *arg)
{
	/* A second later than ours: it is for when we are gone. */
	const char *const argv[] = {"timeout", "-s", "KILL",
	    DECIMAL(ACME_HOOK_S) ".9", hook->script, NULL};
	const char *const vars[] = {
	    arena_printf(a, "CERTCTL_DNS_DOMAIN=%s", hook->domain),
	    arena_printf(a, "CERTCTL_DNS_FQDN=%s", hook->fqdn),
	    arena_printf(a, "CERTCTL_DNS_VALUE=%s", hook->value),
	    arena_printf(a, "CERTCTL_DNS_TOKEN=%s", hook->token),
	    NULL,
	};
	struct spawn_opts opts = {
	    .argv = argv,
	    .env = vars,
	    .timeout_ms = ACME_HOOK_S * 1000,
	    .stderr_only = true,
	    .keep_end = true,
	};
	struct run *r = arena_alloc(a, sizeof(*r));
	rc ret;

	r->a = a;
	r->script = strrchr(hook->script, '/') + 1;
	r->done = done;
	r->arg = arg;
	ret = spawn_run(env->loop, &opts, on_end, r, &r->spawn);
	if (ret == RC_OK)
		arena_defer(a, run_end, r);
	else
		r->spawn = NULL;
	return ret;
}
