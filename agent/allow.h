/*
 * allow: what this host lets the server's targets do.
 *
 * A target's paths and commands come from whoever may edit targets; which
 * directories they may lie in and which programs may run is said here, on the
 * host, and asked before anything changes.  Where the host says nothing, the
 * kind of target does (target.h).
 */
#ifndef AGENT_ALLOW_H
#define AGENT_ALLOW_H

#include "agent/safedir.h"
#include "agent/target.h"
#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

/* The item that stands for what the kind of target allows by itself. */
#define ALLOW_DEFAULT "default"

/* Borrowed lists, each ending in NULL. */
struct allow {
	/* Directories, absolute. */
	const char *const *dirs;
	/* "program argument ...": a program by its absolute path with exactly
	 * these arguments; a last word "*" stands for any. */
	const char *const *commands;
	/* Directories and files of the agent itself, where no target may lie;
	 * "" is none. */
	const char *const *own_dirs;
};

/* Whether the lists are well formed; RC_INVALID with *out_why. */
rc allow_check(struct arena *a, const struct allow *w,
    const char **out_why) MUST_CHECK;
/* The same as bounds of what is then opened, for a path may lead elsewhere by
 * then.  As long-lived as the arena. */
const struct safedir_bounds *allow_bounds(struct arena *a,
    const struct allow *w, const struct target_kind *kind);
/* Whether this host allows the plan of a target of that kind.  Programs
 * become the absolute paths they are allowed by, so that no search path has a
 * say.  RC_FORBIDDEN with *out_why for the report. */
rc allow_plan(struct arena *a, const struct allow *w,
    const struct target_kind *kind, struct target_plan *plan,
    const char **out_why) MUST_CHECK;
/* Whether the directory where that plan's versions are kept lies where its
 * files may; RC_FORBIDDEN with *out_why. */
rc allow_versions(struct arena *a, const struct allow *w,
    const struct target_kind *kind, const char *dir,
    const char **out_why) MUST_CHECK;

#endif
