/*
 * daemon: the life of a process that serves until a signal ends it.
 *
 * Options, configuration, log, names, loop, signals and the order of start and
 * end stand here once; a main.c says what its process is made of.  Nothing
 * calls back into a main.c but through these hooks.
 */
#ifndef COMMON_DAEMON_DAEMON_H
#define COMMON_DAEMON_DAEMON_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/cfg/cfg.h"
#include "common/db/home.h"
#include "common/loop/loop.h"

struct daemon_program;

/* Hooks read the members; only exit_status is theirs to set. */
struct daemon {
	const struct daemon_program *program;
	void *self;
	struct cfg *cfg;
	struct loop *loop;
	struct db_home *home; /* the database server that it is with */
	char host[256];
	char name[320];       /* CERTCTL_PROCESS_NAME, else host-pid */
	char incarnation[64]; /* this start of this process, and no other */
	int exit_status;      /* of an orderly end */
	bool is_stopping;
	struct timer *peer_lines; /* writes those that were held back */
};

/*
 * The hooks, in the order they run; NULL where there is nothing to do.  self
 * is what daemon_main was given.
 */
struct daemon_program {
	const char *process; /* "worker"; the program is certctl-worker */
	const char *purpose; /* for --help */
	const struct cfg_key *keys;
	size_t nkeys;
	const char *extra_help; /* options of its own, for command */
	const char *name_key;   /* the key that may name the process, or NULL */
	/* Whether an option asks for something else than to serve; then it was
	 * done, and *out_exit is the status. */
	bool (*command)(int argc, char **argv, const struct cfg *cfg,
	    int *out_exit);
	/* What can be found wrong before the database answers; changes
	 * nothing outside of the process, unless check stands in for it. */
	rc (*prepare)(void *self, struct daemon *d);
	/* What --check-config does; NULL: prepare. */
	rc (*check)(void *self, struct daemon *d);
	/* Waits for what must be there; a signal ends the process at once. */
	rc (*wait)(const struct daemon *d);
	/* The rest.  Says STARTED when all is well. */
	rc (*open)(void *self, struct daemon *d);
	/* SIGHUP. */
	void (*reload)(void *self, struct daemon *d);
	/* SIGTERM or SIGINT, once: ends the loop when what runs has ended.  A
	 * second signal ends the loop at once. */
	void (*stop)(void *self, struct daemon *d);
	/* Frees what prepare and open made, however far they came; the loop
	 * and the configuration are still there. */
	void (*close)(void *self, struct daemon *d);
};

/* Runs the process; returns its exit status. */
int daemon_main(int argc, char **argv, const struct daemon_program *program,
    void *self) MUST_CHECK;

#endif
