/*
 * lists: the bodies of lists, kept while nothing that they are made of has
 * changed, so that an unchanged one costs no rows and no count.
 *
 * Statement triggers move a sequence for each part of what lists read, before
 * the commit; a look asks for these numbers and then which of it open
 * transactions have written.  An answer whose rows were asked for behind a
 * look holds as long as the next looks find the same numbers and no such
 * transaction was open: whoever commits later moves a number later.
 *
 * A look is fresh for a second, as long as this process sent the database
 * nothing that may write; while it does, each list waits for a look that
 * begins behind it, many for one.  Event loop only.
 */
#ifndef APISERVER_LIVE_LISTS_H
#define APISERVER_LIVE_LISTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/blob.h"
#include "common/db/db.h"
#include "common/loop/loop.h"
#include "common/op/op.h"

/* The parts of what lists read. */
enum {
	LIST_AGENTS = 1,
	LIST_AUDIT = 2,
	LIST_CERTIFICATES = 4,
	LIST_DISCOVERED = 8,
	LIST_JOBS = 16,
	LIST_REVOCATIONS = 32, /* what is answered of serials */
};
#define LISTS_PARTS 6
/* A quoted SHA-256 in hex, and the end. */
#define LISTS_TAG_MAX 67

struct lists; /* defined in lists.c */

struct lists_page {
	const char *tag; /* quoted */
	struct blob *body;
};

/* What was known when rows were asked for. */
struct lists_view {
	uint64_t generations[LISTS_PARTS];
	uint64_t writes;
	bool is_writing;
	int64_t at_ms;
};

/* One that waits for a look; lives as long as its op's owner, zeroed. */
struct lists_wait {
	LIST_ENTRY(lists_wait) entry;
	struct op *op; /* NULL: it does not wait */
	uint64_t look; /* the first that will do */
	bool has_looked;
};

/* requests, heartbeats: the pools by which clients' requests write. */
struct lists *lists_new(struct loop *l, struct db_pool *requests,
    struct db_pool *heartbeats);
void lists_free(struct lists *s);
/* Whether the last look serves a request that comes in now. */
bool lists_is_fresh(const struct lists *s);
/* Whether the last look began less than a second ago, whatever this process
 * wrote since: for what may be as old as that. */
bool lists_is_recent(const struct lists *s);
/*
 * list: its route and query.  The kept answer to it, if it holds by the last
 * look; the caller knows that to be fresh.  NULL: there is none.  Valid until
 * the next call.
 */
const struct lists_page *lists_find(struct lists *s, unsigned reads,
    const char *list);
/* The same without a look: an answer whose rows were asked for less than a
 * second ago, since when this process wrote nothing. */
const struct lists_page *lists_find_new(struct lists *s, unsigned reads,
    const char *list);
/* Wakes op behind a look that begins after now; the op parks. */
void lists_look(struct lists *s, struct lists_wait *w, struct op *op);
/* The op is gone. */
void lists_forget(struct lists_wait *w);
/* Before rows are asked for. */
void lists_view(const struct lists *s, struct lists_view *out);
/* An answer, whose body is held, and the view from before its rows.
 * is_momentary: it holds for a second, and while this process writes nothing.
 */
void lists_keep(struct lists *s, unsigned reads, const char *list,
    const struct lists_view *view, bool is_momentary,
    const struct lists_page *page);

#endif
