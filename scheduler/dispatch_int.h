/*
 * dispatch_int: what the files of dispatch share; nobody else includes it.
 *
 * dispatch.c takes turns and starts the statements of the others; when one has
 * ended, they call turn.
 */
#ifndef SCHEDULER_DISPATCH_INT_H
#define SCHEDULER_DISPATCH_INT_H

#include <stdbool.h>

#include "scheduler/dispatch.h"
#include "scheduler/lanes.h"
#include "scheduler/permits.h"
#include "scheduler/workers.h"

struct cJSON;

#define DISPATCH_TICK_MS 100
/* A full look, and the sweep of all that runs: this often, and when a snapshot
 * held somewhere makes them slow, so much more seldom that they take no more
 * than a tenth of the time. */
#define DISPATCH_FULL_MS 1000
#define DISPATCH_FULL_MAX_MS 10000
#define DISPATCH_FULL_SHARE 10
/* While lanes are known to be due, others are looked for this often. */
#define DISPATCH_BUSY_LOOK_MS 50
/* A request that finds nothing is answered so after this long. */
#define DISPATCH_WAIT_MS 1000
/* After a claim that brought nothing, or failed. */
#define DISPATCH_REST_MS 250
#define DISPATCH_CLAIMS_MAX 4
/* A database that is away fails every statement: a line now and then. */
#define DISPATCH_LOG_EVERY_MS 1000

struct claim { /* slot of a claim under way */
	struct dispatch *dispatch;
	struct db_req *req; /* NULL: the slot is free */
	char *worker;       /* names, not pointers: both may go meanwhile */
	char *issuer_id;
	size_t limit;
};

struct dispatch {
	struct dispatch_opts o;
	/* Does all that can be done now; safe to call at any time. */
	void (*turn)(struct dispatch *d);
	bool is_on;
	uint64_t term;
	struct permits permits;
	struct lanes *lanes;
	struct workers workers;
	struct timer *tick;
	struct claim claims[DISPATCH_CLAIMS_MAX];
	struct db_req *look;
	struct db_req *sweep;
	bool is_looking_full;
	bool is_sweeping_full;
	int64_t look_every_ms;
	int64_t sweep_every_ms;
	int64_t look_lease;  /* task_lease when the look was sent */
	int64_t task_lease;  /* the last lease of tasks handed out */
	int64_t low_lease;   /* the oldest lease of tasks that may run */
	bool must_look;      /* something may be due */
	bool must_look_full; /* from the beginning */
	int64_t looked_ms;
	int64_t looked_full_ms;
	int64_t look_not_before_ms;
	int64_t swept_full_ms;
	int64_t failure_logged_ms;
};

/* Something of these lanes became due, and lies at due_after. */
struct hint {
	size_t n;
	const char **lanes;
	const char *due_after;
};

/* dispatch_wire.c */
/* RC_NOT_FOUND: it does not say where; RC_INVALID: that is no time.  What out
 * points to is the arena's. */
rc dispatch_read_hint(struct arena *a, const struct cJSON *body,
    struct hint *out) MUST_CHECK;
/* RC_INVALID.  What out points to is a's, and so is the body. */
rc dispatch_read_request(struct arena *a, const struct frame *f,
    struct worker_request *out, const struct cJSON **out_body) MUST_CHECK;
/* lease_id 0: nothing, and lane may be NULL. */
void dispatch_reply(struct dispatch *d, uint64_t reply_to, int64_t lease_id,
    const struct lane *lane, int64_t count);
/* Nothing, and why. */
void dispatch_refuse(struct dispatch *d, uint64_t reply_to, const char *why);
/* Answers w's request, likewise. */
void dispatch_answer(struct dispatch *d, struct worker *w, int64_t lease_id,
    const struct lane *lane, int64_t count);

/* dispatch_outcome.c */
/* Logs a failed statement; steps down when it says that the term is over. */
void dispatch_failed(struct dispatch *d, const char *what,
    const struct db_outcome *o);
/* How often to do in full what took so long. */
int64_t dispatch_full_every(int64_t took_ms);

/* dispatch_claim.c */
/* A free slot, or NULL. */
struct claim *dispatch_claim_slot(struct dispatch *d);
void dispatch_claim_start(struct dispatch *d, struct claim *c, struct worker *w,
    struct lane *lane);
void dispatch_claims_forget(struct dispatch *d);

/* dispatch_look.c */
void dispatch_look_start(struct dispatch *d);

/* dispatch_free.c */
/* Frees what w does not hold any more; all of it when it is gone. */
void dispatch_free_start(struct dispatch *d, struct worker *w);
/* Frees what dead workers held; is_full: walks over all that runs. */
void dispatch_sweep_start(struct dispatch *d, bool is_full);
void dispatch_frees_forget(struct dispatch *d);

#endif
