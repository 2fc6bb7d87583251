/*
 * log_peer: lines that somebody outside can cause, limited.
 *
 * Of one code and peer the first line is written at once, and then one a
 * second: the latest, with the number of those in between ("left_out").  Eight
 * peers of a code are told apart at a time, and what comes from more counts as
 * of "others"; so a code writes at most nine lines a second, whoever sends
 * whatever.  Debug lines are written all: who asks for them wants them.  One
 * thread only, that of the event loop.
 */
#ifndef COMMON_LOG_LOG_PEER_H
#define COMMON_LOG_LOG_PEER_H

#include <stdbool.h>

#include "common/base/attr.h"
#include "common/log/log.h"

enum {
	LOG_PEER_EVERY_MS = 1000,
	LOG_PEER_PEERS_MAX = 8, /* of a code */
	LOG_PEER_NAME_MAX = 64, /* longer names are cut, with the NUL */
};

/* code: a constant, which is kept.  peer: who caused it, or by what; "" when
 * that can't be told.  It is no part of the line: the text says it where that
 * helps.  The text is cut at 256 bytes. */
void log_peer(enum log_level level, const char *code, const char *peer,
    const char *fmt, ...) PRINTF_LIKE(4, 5);
/* With fields after the text, as log_fields has them. */
void log_peer_fields(enum log_level level, const char *code, const char *peer,
    const char *text, ...) __attribute__((sentinel));

/* Writes what was held back and has its time; all: whatever its time.  Returns
 * whether something is still held back. */
bool log_peer_flush(bool all);
/* wake is called when the first line is held back: log_peer_flush is to be
 * called LOG_PEER_EVERY_MS later.  NULL: nobody does, and a line held back
 * waits for the next of its code and peer. */
void log_peer_on_held(void (*wake)(void *arg), void *arg);

#endif
