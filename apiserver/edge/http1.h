/*
 * http1: the head of an HTTP/1.1 request, as RFC 9112 writes it.
 *
 * Foreign bytes (fuzzed); no I/O and no allocation.  What is accepted here
 * has one reading only, so a proxy before us and we can never disagree about
 * where a request ends: lines end in CR LF, a field's name is a token with
 * its colon right behind it, values hold no control characters, and a body is
 * framed by one Content-Length of digits or by the one coding "chunked"
 * (http1_chunks.h), never by both.  The rest is refused with a status and the
 * reason, and the connection cannot be used further.
 */
#ifndef APISERVER_EDGE_HTTP1_H
#define APISERVER_EDGE_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

#define HTTP1_HEAD_MAX 16384 /* bytes, blank line included */
#define HTTP1_TARGET_MAX 8192
#define HTTP1_METHOD_MAX 16
#define HTTP1_FIELDS_MAX 64

/* Why a request is refused: what to answer before closing. */
struct http1_error {
	int status;
	const char *why; /* static, for the client */
};

enum http1_framing { HTTP1_NO_BODY, HTTP1_LENGTH, HTTP1_CHUNKED };

struct http1_field {
	const char *name;  /* as it was written */
	const char *value; /* without blanks around it */
};

struct http1_head {
	const char *method;
	char *target; /* "/path?query", or "*" of OPTIONS */
	bool is_1_0;
	bool must_close; /* it is the last request of this connection */
	bool expects_continue;
	enum http1_framing framing;
	uint64_t length; /* of HTTP1_LENGTH */
	size_t nfields;
	struct http1_field fields[HTTP1_FIELDS_MAX]; /* as they came */
};

/* How far a head that is still coming in was looked at; starts as zeros. */
struct http1_scan {
	size_t at;
	size_t line; /* where the line that at stands in began */
	bool has_line;
};

/*
 * Looks for the end of a head in the len bytes that came so far, of which the
 * first s->at were there before.  RC_OK: it takes *out_len bytes, blank line
 * included; RC_BUSY: more is to come; RC_INVALID: *out_error.
 */
rc http1_scan(struct http1_scan *s, const char *bytes, size_t len,
    size_t *out_len, struct http1_error *out_error) MUST_CHECK;

/*
 * Takes a whole head apart, in place: *out points into it.  RC_INVALID:
 * *out_error, and *out is not to be used.
 */
rc http1_parse(char *head, size_t len, struct http1_head *out,
    struct http1_error *out_error) MUST_CHECK;

/* RFC 9110 section 5.6.2: what names consist of. */
bool http1_is_token_char(char c);
/* What may stand in a field's value: no control characters but the tab. */
bool http1_is_value_char(char c);
/* Fails with that answer; for one-line refusals here and in http1_chunks. */
rc http1_refuse(struct http1_error *e, int status, const char *why);

#endif
