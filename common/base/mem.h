/*
 * mem: allocation for small internal objects.
 *
 * A failure ends the process: all durable state is in PostgreSQL, and the
 * supervisor and the job lease recover.  Sizes that come from outside are
 * capped by the caller before they get here.
 */
#ifndef COMMON_BASE_MEM_H
#define COMMON_BASE_MEM_H

#include <stddef.h>

/* Zeroed memory, to be given back with free(3).  Never NULL. */
void *mem_zalloc(size_t size);
/* realloc(3) of count * size bytes; overflow ends the process.  Never NULL. */
void *mem_realloc(void *p, size_t count, size_t size);
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t len);
/* free(*p) and *p = NULL; for CLEANUP on char pointers. */
void mem_freep(char **p);
/* A write the optimiser may not drop. */
void mem_wipe(void *p, size_t len);

#endif
