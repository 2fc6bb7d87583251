/*
 * filewatch: files that are read once and may be replaced while the process
 * runs (certificates, keys).  It looks every so often and says when one of
 * them is another than when it was last noted.
 *
 * Call from the loop only.
 */
#ifndef COMMON_LOOP_FILEWATCH_H
#define COMMON_LOOP_FILEWATCH_H

#include <stddef.h>
#include <stdint.h>

#include "common/loop/loop.h"

struct filewatch; /* defined in filewatch.c */

/* The paths are copied; a file that is not there is one that may come.  Notes
 * them as filewatch_note does.  The caller owns what is returned. */
struct filewatch *filewatch_new(const char *const *paths, size_t n);
/* NULL is a no-op. */
void filewatch_free(struct filewatch *w);
/* Call before reading the files: what changes meanwhile is seen again. */
void filewatch_note(struct filewatch *w);
/* Calls on_change(arg) when a file changed, having noted it. */
void filewatch_start(struct filewatch *w, struct loop *l, int64_t every_ms,
    loop_fn *on_change, void *arg);

#endif
