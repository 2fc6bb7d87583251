/*
 * call: the waits of an agent's op: an API call, a program, a handshake.
 *
 * Each starts the wait and names the step that runs when it is over; the
 * result is read with call_reply, call_output or call_probe in that step.  A
 * failure to reach the server is a result, not the end of the op.
 */
#ifndef AGENT_CALL_H
#define AGENT_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/agent.h"
#include "common/op/op.h"

struct cJSON;
struct agent_op; /* defined in call.c */

struct call_reply {
	rc code;                  /* RC_OK: an answer arrived */
	int status;               /* its HTTP status */
	const struct cJSON *json; /* the body as an object, or NULL */
	const char *error;        /* what failed, for people */
};

struct call_output {
	rc code; /* RC_OK: the program ended by itself */
	int exit_status;
	const char *text;
};

struct call_probe {
	rc code;              /* RC_OK: a handshake was done */
	const char *error;    /* why not */
	char fingerprint[65]; /* SHA-256 of the leaf that was served */
	char serial[41];
	const char *issuer;     /* its DN, "" where it can't be read */
	int64_t not_after_unix; /* 0 likewise */
};

/* Starts an op of this agent; done(agent, arg) runs when it has ended. */
struct op *agent_op_start(struct agent *a, const char *name,
    int64_t deadline_ms, op_step *first, void *arg,
    void (*done)(struct agent *a, void *arg));
struct agent *agent_of(const struct op *op);
/* The arg of agent_op_start. */
void *agent_arg(const struct op *op);

/* path starts with "/"; body is JSON or NULL. */
enum op_next call_api(struct op *op, const char *method, const char *path,
    const char *body, int64_t timeout_ms, op_step *next);
/* The same with another credential than the agent's own; "" for none. */
enum op_next call_api_as(struct op *op, const char *bearer, const char *method,
    const char *path, const char *body, int64_t timeout_ms, op_step *next);
const struct call_reply *call_reply(const struct op *op);
/* Nothing came back, or nothing that settles the matter (no credit just now,
 * a server in trouble): the same call again, later. */
bool call_is_in_doubt(const struct call_reply *reply);
/* The wait before the next try: doubled from 100 ms to 30 s, jittered.
 * *delay_ms is 0 before the first. */
int64_t call_backoff(int64_t *delay_ms);

/* With an environment of PATH and LC_ALL alone; argv[0] is absolute
 * (allow.h).  may_leave_some: what it started outlives it, for it may be the
 * server itself. */
enum op_next call_program(struct op *op, const char *const *argv,
    bool may_leave_some, int64_t timeout_ms, op_step *next);
const struct call_output *call_output(const struct op *op);

/* A fresh TLS handshake; the chain is not judged, only what is served. */
enum op_next call_handshake(struct op *op, const char *host, int port,
    const char *server_name, int64_t timeout_ms, op_step *next);
const struct call_probe *call_probe(const struct op *op);

#endif
