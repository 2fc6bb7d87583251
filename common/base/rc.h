/*
 * rc: the one result code of this project.
 *
 * Every fallible function returns an rc.  The table says, for each code, its
 * name in logs, the HTTP status the API answers with, and whether the same
 * call may succeed when it is simply made again.  API renderers, the worker's
 * retry decision and the exit codes of the command line read this table.
 */
#ifndef COMMON_BASE_RC_H
#define COMMON_BASE_RC_H

#include <stdbool.h>

#include "common/base/attr.h"

/*        code, name, HTTP status, retryable */
#define RC_TABLE(X) \
	X(RC_OK, "ok", 200, false) \
	X(RC_INVALID, "invalid", 400, false) \
	X(RC_UNAUTHENTICATED, "unauthenticated", 401, false) \
	X(RC_FORBIDDEN, "forbidden", 403, false) \
	X(RC_NOT_FOUND, "not-found", 404, false) \
	X(RC_METHOD, "method-not-allowed", 405, false) \
	X(RC_CONFLICT, "conflict", 409, false) \
	X(RC_GONE, "gone", 410, false) \
	X(RC_TOO_LARGE, "too-large", 413, false) \
	X(RC_MEDIA_TYPE, "unsupported-media-type", 415, false) \
	X(RC_UNPROCESSABLE, "unprocessable", 422, false) \
	X(RC_RATE_LIMITED, "rate-limited", 429, true) \
	X(RC_INTERNAL, "internal", 500, false) \
	X(RC_DATA, "data-refused", 500, false) \
	X(RC_CRYPTO, "crypto", 500, false) \
	X(RC_IO, "io", 500, true) \
	X(RC_NOT_IMPLEMENTED, "not-implemented", 501, false) \
	X(RC_UNAVAILABLE, "unavailable", 503, true) \
	X(RC_BUSY, "busy", 503, true) \
	X(RC_TIMEOUT, "timeout", 503, true) \
	X(RC_LEASE_LOST, "lease-lost", 503, false) \
	X(RC_PEER_GONE, "peer-gone", 503, true) \
	X(RC_CANCELLED, "cancelled", 503, false)

#define RC_ENUM(code, name, http, retry) code,
typedef enum rc { RC_TABLE(RC_ENUM) RC_COUNT } rc;
#undef RC_ENUM

/* A static string such as "not-found". */
const char *rc_name(rc code);
/* The HTTP status of the code, 200..599. */
int rc_http_status(rc code);
/* a, unless it is RC_OK: of several checks that all are made, the first that
 * failed. */
rc rc_first(rc a, rc b);
/* Whether the same call may succeed when it is made again later. */
bool rc_is_retryable(rc code);

#endif
