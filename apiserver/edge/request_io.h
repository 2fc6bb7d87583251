/*
 * request_io: the inside of a request, for the files that carry it: http_conn
 * (bytes in and out), gate (may it run?), request (what handlers call) and
 * render_api (error bodies).  Handlers see request.h only.
 *
 * A request is made by http_conn and belongs to it until request_run; from
 * there it belongs to its op, and is freed once, when the op has ended and
 * its reply was handed back.  conn is NULL once the client is gone.
 */
#ifndef APISERVER_EDGE_REQUEST_IO_H
#define APISERVER_EDGE_REQUEST_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apiserver/policy/auth.h"
#include "apiserver/policy/path.h"
#include "apiserver/edge/request.h"
#include "apiserver/policy/route.h"
#include "common/base/buf.h"
#include "common/json/json.h"
#include "common/op/op.h"

struct conn; /* conn.h */

#define REQUEST_HEADERS_MAX 8
#define REQUEST_KEY_MAX 255

struct request_header {
	const char *name; /* static, or in the op's arena */
	const char *value;
};

struct request {
	struct api *api;
	struct conn *conn;
	struct op *op; /* NULL before it started */
	int64_t started_us;

	/* What came in.  body points into http_conn's buffer, which lasts
	 * until the reply was handed back or the client is gone. */
	const char *method; /* static */
	char id[37];
	struct credential credential;
	char if_none_match[64]; /* "": none, or longer than a tag of ours */
	char idempotency_key[REQUEST_KEY_MAX + 2]; /* longer: cut */
	struct path path;
	struct route_match match;
	const char *body;
	size_t body_len;

	/* Who asks; id points to principal_id. */
	struct principal principal;
	char principal_id[256];
	bool is_retired;

	/* What goes out. */
	int status; /* 0: no answer yet */
	const char *content_type;
	struct buf reply;
	struct json_w writer;
	size_t nheaders;
	struct request_header headers[REQUEST_HEADERS_MAX];
	bool must_close;

	char target[]; /* path points in here */
};

/* target: as it came; a copy is taken. */
struct request *request_new(struct api *api, struct conn *conn,
    const char *method, const char *target);
void request_free(struct request *r);

/* --- answers outside of an op, and by the gate --- */

/* A whole body of any type; no newline is added. */
void request_set_text(struct request *r, int status, const char *content_type,
    const char *text);
void request_set_header(struct request *r, const char *name, const char *value);

/* --- render_api.c --- */

/* The contract's error body: {"error","message","request_id"}. */
void render_error(struct request *r, int status, const char *message);
/* For an op that ended with this code.  Says nothing of our inside. */
void render_failure(struct request *r, rc code, const char *message);
const char *render_reason(int status);

/* --- gate.c --- */

/* Routes, checks and starts it, or answers at once.  The reply comes through
 * http_conn_reply, perhaps before this returns. */
void request_run(struct request *r);

#endif
