/*
 * lastwrite: what is written at a process's end, and who waits for it: until it
 * is written, or patience ends.  Event loop only.
 */
#ifndef APISERVER_POLICY_LASTWRITE_H
#define APISERVER_POLICY_LASTWRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/loop/loop.h"

struct lastwrite; /* defined in lastwrite.c */

struct lastwrite *lastwrite_new(struct loop *l);
/* NULL is a no-op; who still waits is not called. */
void lastwrite_free(struct lastwrite *w);
/* done is called once: behind lastwrite_end, or patience_ms from now; never
 * from inside either call. */
void lastwrite_begin(struct lastwrite *w, int64_t patience_ms, loop_fn *done,
    void *arg);
/* Whether somebody waits. */
bool lastwrite_is_on(const struct lastwrite *w);
/* All is written, or cannot be; somebody waits. */
void lastwrite_end(struct lastwrite *w);

#endif
