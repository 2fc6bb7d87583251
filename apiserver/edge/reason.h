/*
 * reason: what a status is called in a status line and in error bodies.
 */
#ifndef APISERVER_EDGE_REASON_H
#define APISERVER_EDGE_REASON_H

/* "Unknown" for one that we never send. */
const char *reason_of(int status);

#endif
