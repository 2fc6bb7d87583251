/*
 * files: small durable file operations.
 *
 * "Durable" means written, fsynced, renamed into place and the directory
 * fsynced: after a power cut the old or the new content is there, whole.
 */
#ifndef AGENT_FILES_H
#define AGENT_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

/* Makes a directory with that mode unless it is there. */
rc files_mkdir(int dir_fd, const char *name, mode_t mode) MUST_CHECK;
/* Writes name below dir_fd by way of a temporary file.  RC_IO with errno
 * set; nothing is left behind then. */
rc files_write(int dir_fd, const char *name, const void *bytes, size_t len,
    mode_t mode) MUST_CHECK;
/* RC_NOT_FOUND, RC_TOO_LARGE, RC_IO; NUL-terminated, in the arena. */
rc files_read(struct arena *a, int dir_fd, const char *name, size_t max,
    char **out, size_t *out_len) MUST_CHECK;
/* Gone is fine. */
rc files_remove(int dir_fd, const char *name) MUST_CHECK;
/* Points name at target by making the link temp and renaming it.  A link temp
 * of a run that was cut off is replaced, anything else there is EEXIST. */
rc files_symlink(int dir_fd, const char *target, const char *name,
    const char *temp) MUST_CHECK;

#endif
