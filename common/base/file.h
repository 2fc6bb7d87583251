/*
 * file: whole files read, never more of them than a cap.
 *
 * Nothing here waits on what only looks like a file: a FIFO, a device or a
 * directory in its place is refused.
 */
#ifndef COMMON_BASE_FILE_H
#define COMMON_BASE_FILE_H

#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

/*
 * What the file holds, with a NUL behind it, in the arena.  RC_NOT_FOUND;
 * RC_TOO_LARGE: more than max bytes; RC_IO: no regular file, or it can't be
 * read; errno says why.  out_len may be NULL.
 */
rc file_read(struct arena *a, const char *path, size_t max, char **out,
    size_t *out_len) MUST_CHECK;
/* The same of a name in an open directory (or AT_FDCWD); flags are of
 * open(2), as O_NOFOLLOW. */
rc file_read_at(struct arena *a, int dir_fd, const char *name, int flags,
    size_t max, char **out, size_t *out_len) MUST_CHECK;
/* What is left behind an open descriptor, into memory of the caller's, for
 * instance because it is to be wiped.  RC_TOO_LARGE: more than cap; RC_IO. */
rc file_read_fd(int fd, void *out, size_t cap, size_t *out_len) MUST_CHECK;

#endif
