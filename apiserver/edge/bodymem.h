/*
 * bodymem: the bytes of request bodies that the process holds, and their
 * ceiling (CERTCTL_MAX_BODY_MEMORY).
 *
 * A body is paid for before it is read, by its Content-Length or as its
 * chunks come in, so the ceiling holds however many send at once.  After a
 * peak the allocator is asked to give memory back to the system.  Event loop
 * only.
 */
#ifndef APISERVER_EDGE_BODYMEM_H
#define APISERVER_EDGE_BODYMEM_H

#include <stddef.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/loop/loop.h"

struct bodymem; /* defined in bodymem.c */

struct bodymem *bodymem_new(struct loop *l, size_t max);
/* All must have been given back. */
void bodymem_free(struct bodymem *m);
/* RC_BUSY: that would pass the ceiling. */
rc bodymem_take(struct bodymem *m, size_t bytes) MUST_CHECK;
void bodymem_give(struct bodymem *m, size_t bytes);
/* Other memory that comes and goes with clients: counts for the peak, not for
 * the ceiling. */
void bodymem_note_more(struct bodymem *m, size_t bytes);
void bodymem_note_less(struct bodymem *m, size_t bytes);

#endif
