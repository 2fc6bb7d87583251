/*
 * ask: asks for the renewal of each certificate once, so many a second, as an
 * operator's script does.
 *
 * A certificate is due from the moment its request first leaves.  One that is
 * refused for its rate or for want of room, or has no answer, is counted and
 * asked for again a second later.
 */
#ifndef FLEET_ASK_H
#define FLEET_ASK_H

#include <stdbool.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/http/http_out.h"
#include "common/loop/loop.h"
#include "deploy/test/loadtest/fleet/watch.h"

struct ask; /* defined in ask.c */

/* What is pointed at is borrowed.  RC_INVALID: the key file can be read by
 * others; RC_IO, RC_TOO_LARGE. */
rc ask_new(struct loop *l, struct http_out *http, const char *key_file,
    struct watch *w, struct ask **out) MUST_CHECK;
/* Begins, a_second of them. */
void ask_start(struct ask *a, const char *server_url, size_t a_second);
/* Forgets what is under way.  NULL is a no-op. */
void ask_free(struct ask *a);

#endif
