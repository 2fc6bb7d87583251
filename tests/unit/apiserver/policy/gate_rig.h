/*
 * gate_rig: the gate before a small route table, with a stand-in for the
 * connection that carries requests; on the fixture's simulated loop and
 * scripted database.
 */
#ifndef TESTS_UNIT_APISERVER_POLICY_GATE_RIG_H
#define TESTS_UNIT_APISERVER_POLICY_GATE_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/rc.h"
#include "tests/unit/apiserver/fixture.h"

/* Of the rows below /api/v1/: their bodies at most. */
#define RIG_MAX_BODY 64

/*
 * The table:
 *   GET /health                     public, unrated, no body
 *   GET /open                       public, no body
 *   and below /api/v1/, where any OPTIONS is 204 but of version:
 *   GET /version                    public
 *   GET, POST /things               thing.read, thing.edit
 *   GET /things/{id}                thing.read, by issuer
 *   PUT /things/{id}/{file:file...} thing.edit
 *   GET /broken                     thing.read; its statement fails
 *   GET /check                      signed-in
 *   POST /agents                    register, agent.edit
 *   GET /agents/{id}/work           agent, agent.job.poll
 *   POST /jobs/{id}/verify          verification.run, own keys
 *   and below /other/, whose errors another renderer writes, as "refusal 3" and
 *   "error 413", of type "other":
 *   GET, POST /things, GET /broken  as above
 * Each answers with who asked and with the body.
 */
struct rig {
	struct fixture f;
	struct cfg *cfg;
	int nstarted;    /* handlers */
	int64_t left_ms; /* the last one's deadline */
};

/* burst: requests at once, of an address and of a principal; one more each
 * second.  0: no rates. */
void rig_init(struct rig *g, int burst);
void rig_fini(struct rig *g);

/* A request and its answer. */
struct exchange {
	/* What the client does when it is asked for its body: RC_OK: it is
	 * there; RC_BUSY: rig_body follows; RC_INVALID: refused with 503. */
	rc when_asked;
	int nasked;
	struct request *r; /* until it is answered */

	bool is_answered;
	int status;
	char type[48];
	char body[512];
	char challenge[64]; /* WWW-Authenticate */
	char retry_after[8];
	char allow[64];
	bool must_close;
};

/* key: NULL for none; length: the body's, 0 for none.  Runs the loop until
 * nothing is ready any more.  What the strict reader refuses is refused here
 * as there. */
void rig_ask(struct rig *g, struct exchange *x, const char *method,
    const char *path, const char *key, size_t length);
/* The same, with an Authorization header that is none of a key. */
void rig_ask_with(struct rig *g, struct exchange *x, const char *authorization,
    const char *path);
/* The body came, or what is wrong with it. */
void rig_body(struct rig *g, struct exchange *x, const char *body);
void rig_refuse_body(struct rig *g, struct exchange *x, int status,
    const char *why);

/* The next statement finds who holds a key: kind "key" or "agent". */
void rig_expect_key(struct rig *g, const char *key, const char *kind,
    const char *id, bool is_retired);
/* The next finds no one. */
void rig_expect_no_key(struct rig *g, const char *key);
/* And what they hold: lines of "permission|scope|id". */
void rig_expect_grants(struct rig *g, const char *actor, const char *grants);

#endif
