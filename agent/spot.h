/*
 * spot: one configured path of an install, its directory held open.
 *
 * The file that stands there is never copied and removed: the link is made
 * beside it and the two exchange their names in one step, so that its bytes,
 * owner, mode and time stay what they are, and a crash shows the one or the
 * other.  What cannot be looked at is never taken for nothing, nor for
 * somebody's.
 */
#ifndef AGENT_SPOT_H
#define AGENT_SPOT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "agent/install.h"
#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

#define SPOTS_MAX 3

enum stands {
	STANDS_NOTHING,
	STANDS_OURS, /* the link to T/current/<file> */
	STANDS_OTHER /* somebody's file, or a link of somebody's */
};

/* A path that is T/current/<file> itself is none. */
struct spot {
	const char *path;
	const char *name; /* its last part, in dir_fd */
	const char *want; /* what our link names */
	const char *orig; /* where the file that stood there is kept */
	const char *temp; /* a link on its way to name */
	int dir_fd;
};

/* Certificate, key, chain, as far as each is one. */
struct spots {
	size_t n;
	struct spot all[SPOTS_MAX];
};

/* RC_INVALID when two paths are one file by way of a link; else as
 * safedir_open.  spots_close after RC_OK. */
rc spots_open(struct arena *a, const struct install_paths *p, struct spots *s,
    const char **out_why) MUST_CHECK;
void spots_close(struct spots *s);
/* That of this configured path; NULL when it is none. */
const struct spot *spots_find(const struct spots *s, const char *path);

/* What stands at the path now; RC_IO with errno. */
rc spot_look(const struct spot *t, enum stands *out) MUST_CHECK;
/* The file that the path leads to, links followed, and its look, both of one
 * open file.  RC_NOT_FOUND; RC_INVALID with *out_why for what is no regular
 * file, too large or not readable. */
rc spot_read(struct arena *a, const struct spot *t, size_t max, char **out,
    size_t *out_len, struct stat *out_look, const char **out_why) MUST_CHECK;

/* The path becomes our link, what stood there is kept; RC_IO with errno. */
rc spot_take(const struct spot *t) MUST_CHECK;
/* What is kept stands at the path again.  Where nothing is kept our link
 * stays, or goes when is_first.  RC_IO with errno. */
rc spot_give_back(const struct spot *t, bool is_first) MUST_CHECK;
/* Lets go of what is kept, where our link stands. */
void spot_settle(const struct spot *t);

#endif
