/*
 * host: the processes of an installation that run on this host, with the
 * environment that each was started in, as /proc has it.
 *
 * Read-only: nothing is run and nothing is changed.  An environment holds
 * secrets: it is wiped by host_fini.
 */
#ifndef CLI_DOCTOR_HOST_H
#define CLI_DOCTOR_HOST_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/doctor/report.h"
#include "common/cfg/cfg.h"

enum host_role {
	HOST_APISERVER,
	HOST_SCHEDULER,
	HOST_WORKER,
	HOST_AGENT,
	HOST_ROLES
};

struct host_process {
	enum host_role role;
	int pid;
	const char *name; /* "certctl-worker 4711" */
	bool is_replaced; /* the file of its program */
	const char *why;  /* NULL, or why its environment can't be read */
	char *block;      /* "A=1\0B=2\0" */
	size_t len;
	char **env;      /* NULL-terminated, into block; NULL: not read */
	struct cfg *cfg; /* NULL: not read, or refused */
};

struct host {
	struct host_process *all;
	size_t n;
};

/* Those of proc ("/proc") whose program is one of ours and that takes; in the
 * arena but for what host_fini frees. */
void host_find(struct arena *a, const char *proc,
    bool (*takes)(void *arg, enum host_role role, int pid), void *arg,
    struct host *out);
void host_fini(struct host *h);

/* The settings of that kind of process. */
const struct cfg_key *host_keys(enum host_role role, size_t *out_n);
/* Of its environment; NULL: it does not say. */
const char *host_variable(const struct host_process *p, const char *name);

#endif
