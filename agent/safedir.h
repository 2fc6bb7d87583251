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

/* The caller closes *out_fd.  RC_NOT_FOUND, RC_FORBIDDEN, RC_IO with
 * *out_why. */
rc safedir_open(struct arena *a, const char *path, int *out_fd,
    const char **out_why) MUST_CHECK;

#endif
