/*
 * certwatch: the files of the bus's certificate while the process runs: they
 * are read again when they change, and their end is told before it comes.
 *
 * Call from the loop only.
 */
#ifndef COMMON_BUS_CERTWATCH_H
#define COMMON_BUS_CERTWATCH_H

#include "common/bus/bus.h"
#include "common/loop/loop.h"

struct certwatch; /* defined in certwatch.c */

/* The texts of files must outlive it.  on_change(arg): the files changed, and
 * what they hold now is good; use it for handshakes from now on. */
struct certwatch *certwatch_new(struct loop *l, const struct bus_tls *files,
    loop_fn *on_change, void *arg);
/* NULL is a no-op. */
void certwatch_free(struct certwatch *w);
/* Of the certificate in use. */
struct bus_cert certwatch_cert(const struct certwatch *w);

#endif
