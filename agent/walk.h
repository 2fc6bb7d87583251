/*
 * walk: the regular files below some directories, one after the other.
 *
 * Bounded in depth and number; no link is followed, so the walk never leaves
 * its directories and meets each file once, and no other file system is
 * entered, be it /proc or a share whose server is away.
 */
#ifndef AGENT_WALK_H
#define AGENT_WALK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attr.h"

enum {
	WALK_DEPTH_MAX = 16,     /* directories in one another */
	WALK_NAMES_MAX = 100000, /* names looked at in all */
	WALK_PATH_MAX = 1024     /* bytes of a path */
};

enum walk_result {
	WALK_FILE,  /* *out_fd is the caller's to close */
	WALK_OTHER, /* a name was looked at that is none */
	WALK_END
};

struct walk; /* defined in walk.c */

struct walk_opts {
	const char *const *dirs; /* NULL-terminated */
	/* Directories that are passed over, by open descriptors. */
	const int *skip;
	size_t nskip;
	/* Whether a file of this name is opened. */
	bool (*wants)(const char *name);
	/* What could not be looked at, and why. */
	void (*on_error)(void *arg, const char *path, const char *why);
	void *arg;
};

/* opts and what it points at must outlive it. */
struct walk *walk_new(const struct walk_opts *opts);
/* NULL is a no-op. */
void walk_free(struct walk *w);
/* The next name.  *out_path is valid until the next call. */
enum walk_result walk_next(struct walk *w, int *out_fd, const char **out_path);

#endif
