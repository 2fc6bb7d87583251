/*
 * acme_hook: an operator's script that puts a record of a challenge into the
 * DNS, or takes it away.
 *
 * Run without a shell and without arguments, below timeout(1), so that it ends
 * when this worker died too; told what to do by CERTCTL_DNS_DOMAIN, _FQDN,
 * _VALUE and _TOKEN.  It may be run again for what it did already.
 *
 * Call from the event loop only.
 */
#ifndef WORKER_ISSUERS_ACME_HOOK_H
#define WORKER_ISSUERS_ACME_HOOK_H

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "worker/issuers/issuer.h"

#define ACME_HOOK_S 20

struct acme_hook {
	const char *script; /* checked by script_rules */
	const char *domain; /* that the challenge is for, without "*." */
	const char *fqdn;   /* the record's name */
	const char *value;
	const char *token; /* "" where the challenge has none */
};

/* why NULL: it did.  Called once, later. */
typedef void acme_hook_fn(void *arg, const char *why);
/* It ends with the arena.  RC_IO: it could not be started, errno says why. */
rc acme_hook_run(const struct issuer_env *env, struct arena *a,
    const struct acme_hook *hook, acme_hook_fn *done, void *arg) MUST_CHECK;

#endif
