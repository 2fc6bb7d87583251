/*
 * api: what the whole process shares: pools, bus, caches, parked requests.
 *
 * Three pools, so that one kind of work cannot starve another: requests,
 * heartbeats (two connections, one batch each), and the process's own row and
 * checks.  Handlers read the members and change none.  Event loop only.
 */
#ifndef APISERVER_API_H
#define APISERVER_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/bus/bus.h"
#include "common/cfg/cfg.h"
#include "common/db/db.h"
#include "common/loop/loop.h"
#include "common/op/op.h"

struct auth;
struct authz;
struct crlstore;
struct heartbeats;
struct keyring;
struct park;
struct presence;
struct router;

struct api {
	struct loop *loop;
	const struct cfg *cfg;
	struct db_pool *pool;
	struct db_pool *heartbeat_pool;
	struct db_pool *own_pool;
	struct bus_client *bus; /* NULL when CERTCTL_BUS_URLS is empty */
	struct keyring *keys;
	struct auth *auth;
	struct authz *authz;
	struct crlstore *crls;
	struct router *router;
	struct park *park;
	struct heartbeats *heartbeats;
	struct presence *presence;
	size_t max_body;
	bool is_stopping; /* nothing parks any more */
	char incarnation[128];
	char name[64];
	char host[65];
	char url[300];
};

/* RC_INVALID or RC_IO after a log line.  cfg outlives *out. */
rc api_new(struct loop *l, const struct cfg *cfg, struct api **out) MUST_CHECK;
/* No op may be under way. */
void api_free(struct api *a);

/* The process is about to end: parked requests go on now.  One that would
 * park again is told to try elsewhere. */
void api_stop(struct api *a);
/* Tells the scheduler what a commit changed; may be lost. */
void api_hint(struct api *a, const char *body, size_t len);
/* Whether a scheduler leads that we hear. */
bool api_has_leader(const struct api *a);

/* --- requests that wait for something to happen elsewhere --- */

enum api_topic {
	API_TOPIC_AGENT, /* an agent's id: there may be work for it */
	API_TOPIC_JOB,   /* a job's id: it may have ended */
	API_TOPIC_COUNT
};

struct watch; /* defined in park.c */

/*
 * From here on op hears of the topic: call it before looking for what is
 * waited for, and api_park when it is not there yet; what happens in between
 * is not lost.  Ends with the op.  NULL when too many requests wait.
 */
struct watch *api_watch(struct op *op, enum api_topic topic, const char *id);
/*
 * Waits until the topic is woken or max_ms passed, then runs next; look again
 * there (op_left_ms tells what is left).  With no watch it goes on at once.
 * Extend the op's deadline first.  Parked topics are also looked at once a
 * second, so no wake-up is needed for correctness.
 */
enum op_next api_park(struct op *op, struct watch *w, int64_t max_ms,
    op_step *next);
void api_wake(struct api *a, enum api_topic topic, const char *id);

#endif
