/*
 * spawn: run a program without a shell, bounded in time and output.
 *
 * posix_spawn, own process group, stdin from /dev/null, stdout and stderr
 * into one capture (or stderr alone).  The group is killed at the deadline,
 * and when the program has ended: what it left in the background goes on no
 * longer, and keeps no answer waiting by the output it holds open.  Only what
 * made a session of its own (setsid) stays.
 */
#ifndef COMMON_LOOP_SPAWN_H
#define COMMON_LOOP_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/loop/loop.h"

struct spawn; /* defined in spawn.c */

/*
 * Called once.  code RC_OK: the program ended by itself with exit_status (or
 * 128 + signal).  RC_TIMEOUT: killed at the deadline.  output is at most 8 KiB
 * of what it printed, NUL-terminated, valid during the call.
 */
typedef void spawn_done_fn(void *arg, rc code, int exit_status,
    const char *output);

/* argv ends in NULL; argv[0] is looked up in PATH.  RC_IO when it cannot be
 * started, and then done is not called. */
rc spawn_start(struct loop *l, const char *const *argv, int64_t timeout_ms,
    spawn_done_fn *done, void *arg, struct spawn **out) MUST_CHECK;

struct spawn_opts {
	const char *const *argv; /* ends in NULL */
	/* NAME=value texts, ending in NULL, beside what is inherited; NULL:
	 * none.  Our own CERTCTL_ variables are never inherited. */
	const char *const *env;
	bool env_only; /* nothing is inherited */
	int64_t timeout_ms;
	bool stderr_only; /* stdout goes to /dev/null */
	bool keep_end;    /* the last 8 KiB of the output, not the first */
	/* What it started goes on when it has ended; for a program that may
	 * start a server. */
	bool may_leave_some;
};

/* The same, with more said; what opts points at may go after the call. */
rc spawn_run(struct loop *l, const struct spawn_opts *opts, spawn_done_fn *done,
    void *arg, struct spawn **out) MUST_CHECK;
/* Kills the group and forgets the callback. */
void spawn_cancel(struct spawn *s);

#endif
