/*
 * safedir: directories that nobody but root and the agent's user can change.
 *
 * A path is walked name by name, and every directory on the way must belong
 * to root or to the agent's user and be closed to writes of others, or what a
 * later name leads to could be exchanged.  A sticky directory (/tmp) may be
 * passed, for there nobody can exchange what is another's; it is never the
 * last one, and no link in it is followed.
 */
#ifndef AGENT_SAFEDIR_H
#define AGENT_SAFEDIR_H

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

/* Where an opened directory may lie: it is, or lies below, one of within and
 * none of without.  Paths, each list ending in NULL; "" and what does not
 * exist is none. */
struct safedir_bounds {
	const char *const *within, *const *without;
};

/* The caller closes *out_fd.  RC_NOT_FOUND, RC_FORBIDDEN, RC_IO with
 * *out_why. */
rc safedir_open(struct arena *a, const char *path, int *out_fd,
    const char **out_why) MUST_CHECK;
/* The same within bounds, or anywhere when b is NULL.  They are held against
 * the directory that was opened, not against its path, so that nothing can be
 * exchanged between the two.  RC_FORBIDDEN also for one that lies outside. */
rc safedir_open_within(struct arena *a, const char *path,
    const struct safedir_bounds *b, int *out_fd,
    const char **out_why) MUST_CHECK;
/* The directory that holds the last name of path, which is *out_name.  It may
 * be sticky, for there nobody can exchange what is another's; so the caller
 * looks at what stands at the name itself.  RC_INVALID for a path that is not
 * absolute. */
rc safedir_open_above(struct arena *a, const char *path, int *out_fd,
    const char **out_name, const char **out_why) MUST_CHECK;
/* Whether nobody else can change the program at path, which may be a link:
 * as for directories, on each way that leads to it.  RC_NOT_FOUND,
 * RC_FORBIDDEN, RC_IO with *out_why. */
rc safedir_check_program(struct arena *a, const char *path,
    const char **out_why) MUST_CHECK;

#endif
