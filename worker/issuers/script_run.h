/*
 * script_run: an operator's script of a connector: no shell, a process group
 * that is killed at the deadline, below timeout(1), so that it also ends when
 * this worker died.
 */
#ifndef WORKER_ISSUERS_SCRIPT_RUN_H
#define WORKER_ISSUERS_SCRIPT_RUN_H

#include "worker/issuers/issuer.h"

#define SCRIPT_ARGS_MAX 4
/* Exit statuses from here on are those of a signal. */
#define SCRIPT_EXIT_SIGNAL 128

struct script_run {
	const char *script;      /* its whole path */
	const char *const *args; /* SCRIPT_ARGS_MAX at most; NULL at the end */
	const char *const *env;  /* beside the worker's own; NULL at the end */
	int64_t limit_ms;        /* whole seconds */
};

/* Called later, once.  code: RC_OK, or it did not end in time.  output: what it
 * wrote to standard error, its end. */
typedef void script_run_fn(void *arg, rc code, int exit_status,
    const char *output);
/* It ends with the arena.  RC_IO: it can't be run, errno says why. */
rc script_run(const struct issuer_env *env, struct arena *a,
    const struct script_run *what, script_run_fn *done, void *arg) MUST_CHECK;
/* How that of the name ended, with its last line, for people. */
const char *script_run_words(struct arena *a, const char *name, rc code,
    int exit_status, const char *output);

#endif
