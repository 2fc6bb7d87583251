/*
 * sandbox: a temporary directory for one test, and looks at what is in it.
 *
 * sandbox_new makes a fresh one and removes the one before; a failure of the
 * helpers themselves ends the program.
 */
#ifndef TESTS_UNIT_AGENT_SANDBOX_H
#define TESTS_UNIT_AGENT_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/arena.h"

/* An arena that dies with the next sandbox_new. */
struct arena *sandbox_new(void);
/* From here on they lie in memory, where there is such a place: a disk looks
 * for places again that files left just now.  No program runs from there. */
void sandbox_in_memory(void);
/* dir/<name>, in the arena. */
const char *sandbox_path(const char *name);
/* A file below it with this text. */
void sandbox_put(const char *name, const char *text);
/* Its text, links followed; NULL when it can't be read. */
const char *sandbox_get(const char *name);
/* What a link names; NULL when it is none. */
const char *sandbox_link(const char *name);
bool sandbox_has(const char *name);
mode_t sandbox_mode(const char *name);
/* How many entries a directory of it has, "." and ".." left out. */
size_t sandbox_count(const char *name);
/* An open descriptor of a directory of it, made 0700 when missing. */
int sandbox_dir_fd(const char *name);

/* Writes of more than bytes fail from here on, with EFBIG; 0 lifts it. */
void sandbox_limit_writes(size_t bytes);

/* A key and a self-signed certificate that ends at not_after_unix, PEM. */
void sandbox_pair(long not_after_unix, const char **out_cert,
    const char **out_key);

#endif
