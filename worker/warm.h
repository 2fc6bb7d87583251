/*
 * warm: derives the sealing keys of the local CAs before the worker takes a
 * lease.
 *
 * A key costs 600,000 rounds of PBKDF2 on the loop, a good part of the time a
 * lease is trusted; paid at a start, nobody waits for it.
 */
#ifndef WORKER_WARM_H
#define WORKER_WARM_H

#include "common/db/db.h"
#include "common/loop/loop.h"
#include "common/pki/key/seal.h"

struct warm_opts {
	struct loop *loop;
	struct db_pool *pool;
	struct sealer *sealer;
	/* Called once; also when nothing could be read: what is not derived
	 * now is derived when it is needed. */
	void (*done)(void *arg);
	void *arg;
};

/* opts are copied. */
void warm_start(const struct warm_opts *opts);

#endif
