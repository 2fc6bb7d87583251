/*
 * fixture: handlers without a server: a simulated loop, a scripted database,
 * and requests whose answers are kept.
 */
#ifndef TESTS_UNIT_APISERVER_FIXTURE_H
#define TESTS_UNIT_APISERVER_FIXTURE_H

#include "apiserver/api.h"
#include "apiserver/edge/request_io.h"
#include "tests/support/db_script.h"

/* The keys of ops, an administrator, and of reader; the bootstrap token. */
#define FIXTURE_ADMIN_KEY "abcdefghijklmnopqrstuvwx-1"
#define FIXTURE_READER_KEY "abcdefghijklmnopqrstuvwx-2"
#define FIXTURE_TOKEN "abcdefghijklmnopqrstuvwx-token"

struct fixture {
	struct api api;
	struct db_pool *db; /* all three pools */
	const char *fields; /* lines of the next requests' heads, or NULL */
	/* The one route that is asked for. */
	struct route route[1];
	struct route_area area;
	const struct route_area *areas[1];
	struct router *router;
};

void fixture_init(struct fixture *f);
void fixture_fini(struct fixture *f);

struct answer {
	int status; /* 0: none yet */
	char body[1024];
	rc code;
	struct op *op;
};

/* Starts the route's handler as the gate would, the same route in all calls
 * of a fixture.  answer outlives the op. */
void fixture_request(struct fixture *f, const struct route *route,
    const char *method, const char *target, const char *body,
    struct answer *answer);

#endif
