/*
 * behind: whether the database is older than what was issued here.
 *
 * Before a worker takes its lease it shows the ends of the journals in its
 * directory to the database, which keeps what it does not know (journal_check,
 * migrations/code/20_recover.sql); while it knows some of a part, the part
 * before it follows.  Of one CA's files the newest come first, and the rest is
 * passed over once two were wholly known: a look at journals that are all known
 * costs two statements a CA, however many files are kept.
 */
#ifndef WORKER_BEHIND_H
#define WORKER_BEHIND_H

#include "common/db/db.h"
#include "common/loop/loop.h"

struct op;

struct behind_opts {
	struct loop *loop;
	struct db_pool *pool;
	const char *journal_dir; /* outlives the look */
	const char *host;
	/* Called once, when all journals were looked at; a database that does
	 * not answer is asked until it does.  Not called after op_abort. */
	void (*done)(void *arg);
	void *arg;
};

/* opts are copied.  The op may be aborted until done is called. */
struct op *behind_start(const struct behind_opts *opts);

#endif
