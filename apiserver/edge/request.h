/*
 * request: what a handler sees of an HTTP request, and how it answers.
 *
 * A handler is an op (common/op): its start step is named in the route table
 * (route.h) and runs after routing, authentication and the permission check.
 * It ends in `return reply_*(op, ...)` or `return op_fail(op, rc, text)`;
 * op_fail renders the error body {"error","message","request_id"} with the
 * rc's HTTP status.  Everything given out lives in the op's arena.
 */
#ifndef APISERVER_EDGE_REQUEST_H
#define APISERVER_EDGE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/buf.h"
#include "common/json/json.h"
#include "common/op/op.h"

struct blob; /* common/base/blob.h */
struct cJSON;
struct peer_addr; /* edge/peer.h */
struct api;       /* the process: configuration, bus, pools; apiserver/api.h */

enum principal_kind {
	PRINCIPAL_NONE,     /* public route */
	PRINCIPAL_API_KEY,  /* actor type APIKey */
	PRINCIPAL_AGENT,    /* an agent's own key: id is the agent's id */
	PRINCIPAL_BOOTSTRAP /* the agent bootstrap token; registration only */
};

struct principal {
	enum principal_kind kind;
	const char *id; /* key name, or agent id */
	bool is_admin;
	bool is_configured; /* a key of the environment */
};

struct api *req_api(const struct op *op);
const struct principal *req_principal(const struct op *op);
/* "APIKey", "Agent", "Anonymous": for audit_events.actor_type. */
const char *req_actor_type(const struct op *op);

/* A path parameter by its name in the route's pattern, percent-decoded and
 * checked against ^[A-Za-z0-9._:-]{1,128}$ before the handler starts. */
const char *req_param(const struct op *op, const char *name);
/* A query parameter, decoded, or NULL when absent or empty. */
const char *req_query(const struct op *op, const char *name);
/* Whether it stands there at all, be it without a value. */
bool req_has_query(const struct op *op, const char *name);
/* A whole number query parameter; dflt when absent, malformed or out of
 * [min, max] (the contract's lists ignore unusable values). */
int64_t req_query_int(const struct op *op, const char *name, int64_t min,
    int64_t max, int64_t dflt);

/* The query's "wait", 0 when absent, a minute at most.  RC_INVALID: it is no
 * duration, and *out_why says so to the client. */
rc req_wait(const struct op *op, int64_t *out_ms,
    const char **out_why) MUST_CHECK;

/* Any header by its name, in any case of letters, its values joined with ", "
 * where it was repeated; NULL when there is none. */
const char *req_header(struct op *op, const char *name);
/* Whether it is asked by HEAD, where a route's GET answers that. */
bool req_is_head(const struct op *op);
/* The target as it was asked, "/path?query"; what was in percent form there is
 * decoded. */
const char *req_target(struct op *op);
/* The client's address as text; behind a trusted proxy
 * (CERTCTL_TRUSTED_PROXIES) the one that the proxy names. */
const char *req_peer(struct op *op);
/* The same, for who counts by it. */
const struct peer_addr *req_peer_addr(const struct op *op);

/* Whether the client has what this tag stands for; no lists, no "*". */
bool req_has_tag(const struct op *op, const char *etag);

/*
 * The Idempotency-Key header without its quotes; NULL when there is none.
 * RC_INVALID when it is empty or longer than 255 characters.
 */
rc req_idempotency_key(struct op *op, const char **out) MUST_CHECK;

/* The raw body; at most CERTCTL_MAX_BODY_SIZE bytes, checked before. */
const char *req_body(const struct op *op, size_t *out_len);
/*
 * The body as a JSON object.  RC_INVALID: *out_why is the message for the
 * client ("Invalid request body: ...").  An empty body gives an empty object
 * when may_be_empty.  Every text in it, whether anybody reads it or not, is
 * one that plain_is_text accepts, and every member's name plain_is_line.
 */
rc req_json(struct op *op, bool may_be_empty, const struct cJSON **out,
    const char **out_why) MUST_CHECK;

/* The same, texts unchecked: for bodies of which some must be taken whatever
 * they hold.  The caller checks or cleans each that it reads. */
rc req_json_any(struct op *op, bool may_be_empty, const struct cJSON **out,
    const char **out_why) MUST_CHECK;

/* --- answers --- */

/* A writer over a fresh buffer in the op's arena. */
struct json_w *reply_writer(struct op *op);
/* Sends what was written to reply_writer, plus "\n". */
enum op_next reply_json(struct op *op, int status);
/* {"key":"value"} with this status. */
enum op_next reply_status(struct op *op, int status, const char *key,
    const char *value);
enum op_next reply_no_content(struct op *op);
/* A whole body of any type, copied; no newline is added. */
enum op_next reply_bytes(struct op *op, int status, const char *content_type,
    const void *bytes, size_t len);
/* The same, not copied: the answer holds body until it is out. */
enum op_next reply_blob(struct op *op, int status, const char *content_type,
    struct blob *body);
/*
 * An answer in pieces, for what may be long.  reply_begin says how it starts
 * and gives a writer; reply_piece sends what was written since, and next runs
 * when the client has taken enough of it, with the op's deadline set anew: a
 * slow reader holds its producer back, and one that is gone ends it.
 * reply_end sends the rest.  An op that fails after the first piece cuts the
 * connection, so that no client takes a part for the whole.
 */
struct json_w *reply_begin(struct op *op, int status, const char *content_type);
enum op_next reply_piece(struct op *op, op_step *next);
enum op_next reply_end(struct op *op);

/* What a list tells holds for the moment only: it depends on the clock, or on
 * what moves all the time. */
void reply_momentary(struct op *op);
/* Another header on the reply to come.  API answers say "Cache-Control:
 * no-store" unless this sets another. */
void reply_header(struct op *op, const char *name, const char *value);

/* The same beside others of that name. */
void reply_add_header(struct op *op, const char *name, const char *value);

/* As op_fail; told in the log and the audit trail as what the gate refuses. */
enum op_next req_refuse(struct op *op, rc code, const char *why);

/* --- pieces every handler of a list or a write uses --- */

/* Ends the op for a failed write: a unique violation is 409 with
 * duplicate_text, a foreign key 400 naming the column, a check 400, the rest
 * by op_caught.  Use as the body of an op_catch step. */
enum op_next reply_db_error(struct op *op, const char *duplicate_text);

/* After a commit: tells the scheduler (and through it everyone) what changed.
 * Any pointer may be NULL; lists are NULL-terminated. */
void req_hint(struct op *op, int njobs, const char *const *issuers,
    const char *const *agents);
/* The same of one job of an issuer (NULL: of one task) that somebody waits
 * for, which is due from due_after on (lane_key), so that the scheduler finds
 * it behind what it handed out meanwhile. */
void req_hint_due(struct op *op, const char *issuer_id, const char *due_after);

#endif
