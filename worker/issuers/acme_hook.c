#include "worker/issuers/acme_hook.h"

#include <string.h>

#include "worker/issuers/script_run.h"

struct hook { /* in the arena */
	struct arena *a;
	const char *name;
	acme_hook_fn *done;
	void *arg;
};

static void
on_end(void *arg, rc code, int exit_status, const char *output)
{
	struct hook *h = arg;

	h->done(h->arg,
	    code == RC_OK && exit_status == 0
		? NULL
		: script_run_words(h->a, h->name, code, exit_status, output));
}

rc
acme_hook_run(const struct issuer_env *env, struct arena *a,
    const struct acme_hook *hook, acme_hook_fn *done, void *arg)
{
	const char *const none[] = {NULL};
	const char *const vars[] = {
	    arena_printf(a, "CERTCTL_DNS_DOMAIN=%s", hook->domain),
	    arena_printf(a, "CERTCTL_DNS_FQDN=%s", hook->fqdn),
	    arena_printf(a, "CERTCTL_DNS_VALUE=%s", hook->value),
	    arena_printf(a, "CERTCTL_DNS_TOKEN=%s", hook->token),
	    NULL,
	};
	const struct script_run what = {
	    .script = hook->script,
	    .args = none,
	    .env = vars,
	    .limit_ms = ACME_HOOK_S * 1000,
	};
	struct hook *h = arena_alloc(a, sizeof(*h));

	h->a = a;
	h->name = strrchr(hook->script, '/') + 1;
	h->done = done;
	h->arg = arg;
	return script_run(env, a, &what, on_end, h);
}
