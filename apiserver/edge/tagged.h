/*
 * tagged: lists whose answers have a tag: answered from memory while nothing
 * they read has changed, with 304 and no body when the client has it already.
 *
 * Called by the gate around the handlers of routes that say what they read.
 */
#ifndef APISERVER_EDGE_TAGGED_H
#define APISERVER_EDGE_TAGGED_H

#include "apiserver/edge/request_io.h"

/* Largest body that gets a tag, in bytes. */
#define TAGGED_MAX_BYTES ((size_t)64 * 1024)

/* Instead of the route's first step, which it goes on with when need be. */
op_step tagged_start;
/* Its end.  A success gets its tag, is told to those who ask for the same, and
 * loses its body for who has it. */
void tagged_end(struct request *r, rc code);

#endif
