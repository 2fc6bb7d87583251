/*
 * script_list: an operator's script that has a CA make its revocation list.
 *
 *	crl_script <revocations file> <list out file>
 *
 * The first is JSON, what is revoked here, for CAs that are told by it:
 *
 *	[{"serial":"0a1b","revoked_at":"2026-01-02T03:04:05.000Z",
 *	  "reason_code":1}, ...]
 */
#ifndef WORKER_ISSUERS_SCRIPT_LIST_H
#define WORKER_ISSUERS_SCRIPT_LIST_H

#include "worker/issuers/issuer.h"

/* As fetch_list of issuer_ops.  RC_IO: it can't be run. */
rc script_list_run(const struct issuer_env *env, struct arena *a,
    const char *script, int64_t limit_ms, const struct issuer_revoked *revoked,
    size_t n, issuer_answer_fn *done, void *arg) MUST_CHECK;

#endif
