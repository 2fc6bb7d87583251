/*
 * http1_chunks: the chunked coding of a request body (RFC 9112 section 7.1).
 *
 * Foreign bytes (fuzzed), taken as they come, in pieces of any size; no I/O
 * and no allocation.  Sizes are hexadecimal digits and nothing else,
 * extensions are read by the grammar and dropped, so are trailers; all of
 * that is bounded.
 */
#ifndef APISERVER_EDGE_HTTP1_CHUNKS_H
#define APISERVER_EDGE_HTTP1_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

#include "apiserver/edge/http1.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

/* Bytes of extensions and trailers in one body. */
#define HTTP1_CHUNKS_EXTRA_MAX 4096

struct http1_chunks {
	int state;     /* in http1_chunks.c */
	int digits;    /* of the size that is being read */
	uint64_t left; /* bytes of the current chunk still to come */
	uint64_t room; /* bytes of body that may still come */
	size_t extra;
};

/* max_body: bytes of body at most. */
void http1_chunks_init(struct http1_chunks *c, uint64_t max_body);

/*
 * Takes bytes up to the next piece of the body.  *out_used of them are done
 * with, *out_data_len of those, at *out_data, are body.  RC_BUSY: go on with
 * the rest; RC_OK: the body is complete, the rest is another request;
 * RC_INVALID: *out_error.
 */
rc http1_chunks_take(struct http1_chunks *c, const char *bytes, size_t len,
    size_t *out_used, const char **out_data, size_t *out_data_len,
    struct http1_error *out_error) MUST_CHECK;

#endif
