/*
 * script_files: the files that an operator's script of a connector is given and
 * leaves: in a directory of their own, for each run.
 */
#ifndef WORKER_ISSUERS_SCRIPT_FILES_H
#define WORKER_ISSUERS_SCRIPT_FILES_H

#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

/* A new directory of mode 0700; script_files_remove it.  NULL: it cannot be
 * made, and *out_why says why. */
const char *script_files_dir(struct arena *a, const char **out_why);
/* With the files in it. */
void script_files_remove(const char *dir);
/* A new file of mode 0600.  RC_IO with *out_why. */
rc script_files_write(struct arena *a, const char *path, const char *text,
    size_t len, const char **out_why) MUST_CHECK;
/* What a script left there, as file_read; it may have put anything there, a
 * link or a pipe, which is refused. */
rc script_files_read(struct arena *a, const char *path, size_t max, char **out,
    size_t *out_len) MUST_CHECK;
/* Whether there is room for what a script needs.  RC_IO with *out_why. */
rc script_files_try(struct arena *a, const char **out_why) MUST_CHECK;

#endif
