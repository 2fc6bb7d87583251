/*
 * workers: who asked for work, over which connection, and what each holds by
 * our book.
 *
 * A worker has one request outstanding at a time and lists in it every lease
 * it holds when it sends it.  So a lease handed out in reply to request k is
 * known to have arrived when request k+1 lists it, and known to be finished or
 * lost when it does not: then its rows, if still running, must be freed.  The
 * free runs before anything new is claimed for that worker, because a lease
 * that is granted while it runs would be missing from its list.
 */
#ifndef SCHEDULER_WORKERS_H
#define SCHEDULER_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

struct db_req;

/* Foreign input: what one request may list, what one name may be long. */
#define WORKER_HOLDING_MAX 1024
#define WORKER_NAME_MAX 128
#define WORKER_ROOM_MAX 1024
#define WORKERS_MAX 4096
#define WORKER_WITHOUT_MAX 256
#define WORKER_ISSUER_MAX 256

struct worker {      /* read; change it through the functions only */
	void *owner; /* the dispatch's own */
	char *incarnation;
	uint32_t pipe;
	uint64_t reply_to;
	bool is_asking; /* a request waits for its answer */
	int64_t asked_ms;
	uint64_t asked_seq; /* the order of requests */
	unsigned room;
	int64_t *holding; /* by our book */
	size_t nholding;
	char **without; /* issuers whose jobs its host cannot do */
	size_t nwithout;
	bool is_gone;     /* its connection closed */
	bool must_free;   /* rows it does not hold any more are to be freed */
	bool is_claiming; /* a claim for it is under way */
	struct db_req *freeing; /* under way, or NULL */
	int64_t rest_until_ms;  /* nothing is claimed for it before */
	UT_hash_handle hh;
};

struct workers {
	struct worker *by_name;
	uint64_t seq;
};

void workers_init(struct workers *ws);
void workers_fini(struct workers *ws);
struct worker *workers_find(struct workers *ws, const char *incarnation);

struct worker_request {
	const char *incarnation;
	uint32_t pipe;
	uint64_t reply_to;
	unsigned room;
	const int64_t *holding;
	size_t nholding;
	const char *const *without;
	size_t nwithout;
	int64_t now_ms;
};
/* Remembers the request (the worker's last one is forgotten).  RC_BUSY past
 * WORKERS_MAX. */
rc workers_ask(struct workers *ws, const struct worker_request *req,
    struct worker **out) MUST_CHECK;
/* The worker of that connection is gone; NULL when it is none's. */
struct worker *workers_gone(struct workers *ws, uint32_t pipe);
void workers_remove(struct workers *ws, struct worker *w);

/* Who has waited longest and can be given work now, of those that asked after
 * `after` (NULL: of all); NULL: nobody. */
struct worker *workers_next(struct workers *ws, int64_t now_ms,
    const struct worker *after);
/* Its request was answered with this lease (0: with none). */
void worker_answered(struct worker *w, int64_t lease_id);

#endif
