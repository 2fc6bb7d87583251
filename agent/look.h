/*
 * look: owner, group and mode of the files of an install.
 */
#ifndef AGENT_LOOK_H
#define AGENT_LOOK_H

#include <stddef.h>
#include <sys/stat.h>

#include "agent/target.h"
#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

/*
 * Writes name below dir_fd, durable.  Owner, group and mode are what want
 * says, else those of like, else those of the file that path leads to, else
 * mode and whatever a new file gets.  One that can't be given fails with
 * *out_why.  path and like may be NULL.
 */
rc look_write(struct arena *a, int dir_fd, const char *name, const void *bytes,
    size_t len, const struct target_file *want, const char *path,
    const struct stat *like, mode_t mode, const char **out_why) MUST_CHECK;

#endif
