/*
 * request_io: the inside of a request, for the files that carry it: http_conn
 * (bytes in and out), gate (may it run?), request (what handlers call) and
 * the renderers (error bodies).  Handlers see request.h only.
 *
 * A request is made by its carrier when the head is complete, and belongs to
 * it until request_run; from there it belongs to its op, and is freed once,
 * when the op has ended and its reply was handed back.  conn is NULL once the
 * client is gone.
 */
#ifndef APISERVER_EDGE_REQUEST_IO_H
#define APISERVER_EDGE_REQUEST_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apiserver/edge/bodymem.h"
#include "apiserver/edge/http1.h"
#include "apiserver/edge/http1_chunks.h"
#include "apiserver/edge/peer.h"
#include "apiserver/edge/render.h"
#include "apiserver/edge/request.h"
#include "apiserver/live/lists.h"
#include "apiserver/live/nonces.h"
#include "apiserver/policy/auth.h"
#include "apiserver/policy/path.h"
#include "apiserver/policy/route.h"
#include "common/base/blob.h"
#include "common/base/buf.h"
#include "common/json/json.h"
#include "common/op/op.h"

struct acme_subproblem; /* render_acme.h */
struct conn;            /* conn.h */
struct sharer;          /* live/sharing.h */
struct request;

#define REQUEST_KEY_MAX 255

struct request_header {
	const char *name; /* lives as long as the request */
	const char *value;
};

/* Who carries requests: http_conn, or a test. */
struct request_carrier {
	/* Sends the answer, or the end of one that is sent in pieces, if the
	 * client is still there, and frees r. */
	void (*reply)(struct request *r);
	/*
	 * Reads the body, of r->max_body bytes at most.  RC_OK: it is here;
	 * RC_BUSY: op_wake comes once it is, or once r->refusal says why not;
	 * RC_INVALID: r->refusal.
	 */
	rc (*take_body)(struct request *r);
	/* Sends what stands in r->reply as a piece of the answer.  RC_OK: on
	 * with the next; RC_BUSY: op_wake comes when there is room for it. */
	rc (*send_piece)(struct request *r);
};

struct request {
	struct api *api;
	const struct request_carrier *carrier;
	struct conn *conn;
	struct op *op;      /* NULL before it started */
	int64_t started_us; /* by the boot clock */

	/* What came in; the texts point into text. */
	struct http1_head head;
	struct http1_error refusal; /* its status is 0: none */
	char id[37];
	struct peer_addr peer; /* the client, where a proxy's word is trusted */
	char peer_text[PEER_TEXT_MAX];
	struct credential credential;
	struct path path;
	struct route_match match;

	/* Its body, read once the gate lets it in. */
	size_t max_body;
	char *body; /* NULL: none, or not yet */
	size_t body_len;
	size_t body_cap; /* what mem was asked for */
	uint64_t body_left;
	struct http1_chunks chunks;
	bool has_all; /* of the body, or there is none */
	struct bodymem *mem;

	/* Who asks; id points to principal_id. */
	struct principal principal;
	char principal_id[256];
	bool is_retired;
	uint64_t changes; /* of keys, or of roles, when they were asked for */

	/* Of a list that has a tag. */
	const char *list; /* its route and query; NULL: it is not kept */
	struct lists_wait wait;
	struct sharer *sharer;  /* NULL: it asks for no rows */
	struct lists_view view; /* when its rows were asked for */
	bool is_momentary;
	char tag[LISTS_TAG_MAX];

	/* What goes out. */
	int status; /* 0: no answer yet */
	const char *content_type;
	struct buf reply;
	struct blob *shared; /* the body, instead of reply; NULL: reply is */
	struct json_w writer;
	size_t nheaders;
	struct request_header *headers;
	char retry_after[24];      /* what that header says of a 429 */
	char nonce[NONCE_LEN + 1]; /* what Replay-Nonce says */
	char *index; /* what Link says of ACME's directory; NULL: nothing */
	/* What the problem to come is about; in the op's arena. */
	struct acme_subproblem *subproblems;
	size_t nsubproblems;
	int error; /* of enum acme_error, with has_error */
	bool has_error;
	bool must_close;
	bool is_pieces; /* a part of the answer is out already */
	bool is_stream; /* and the rest comes for as long as it is read */
	bool is_broken; /* and the rest will not come */
	op_step *next_piece;

	char text[]; /* the head */
};

/* head: as it came; a copy is taken, and taken apart.  r->refusal says what is
 * wrong with it, if anything; then there is no more to it than its id. */
struct request *request_new(struct api *api,
    const struct request_carrier *carrier, struct conn *conn, const char *head,
    size_t len);
void request_free(struct request *r);

/* The value of the first header of that name; NULL when there is none. */
const char *request_header(const struct request *r, const char *name);

/* --- answers outside of an op, and by the gate --- */

/* The body of the answer that is whole. */
const char *request_reply(const struct request *r, size_t *out_len);
/* A whole body of any type; no newline is added. */
void request_set_text(struct request *r, int status, const char *content_type,
    const char *text);
/* Replaces one of that name.  A value with a control character is left out,
 * after a log line. */
void request_set_header(struct request *r, const char *name, const char *value);
/* The same beside others of that name. */
void request_add_header(struct request *r, const char *name, const char *value);
/* The same, beside others of that name. */
void request_add_header(struct request *r, const char *name, const char *value);

/* --- gate.c --- */

/* Routes, checks and starts it, or answers at once; its body is read only
 * when it may run.  The reply goes to the carrier, perhaps before this
 * returns. */
void request_run(struct request *r);
/* Instead, when it is no request, or comes when none is taken: an error, or
 * 429 when the address has no token left for it, and the connection's end. */
void request_refuse(struct request *r, int status, const char *why);

#endif
