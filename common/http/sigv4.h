/*
 * sigv4: requests to the APIs of AWS, signed (Signature Version 4).
 *
 * For the services whose calls are all a POST to "/" and say in headers and
 * body what they want, as those do that speak JSON: a path or a query has
 * nothing to sign here.
 *
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
#ifndef COMMON_HTTP_SIGV4_H
#define COMMON_HTTP_SIGV4_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/http/http_out.h"

/* Who signs, and for which service of which region. */
struct sigv4_key {
	const char *access_key_id, *secret_access_key;
	const char *session_token; /* "": the key is no temporary one */
	const char *region, *service;
};

#define SIGV4_HEADERS_MAX 16

/* What the request has to carry beside what was signed.  In the arena. */
struct sigv4_signed {
	const char *date;          /* X-Amz-Date */
	const char *authorization; /* Authorization */
};

/*
 * headers: all others that the request is sent with, Host among them, ended by
 * one without a name, SIGV4_HEADERS_MAX at most; of those that stand twice the
 * values are taken in their order.  X-Amz-Date and, of a temporary key,
 * X-Amz-Security-Token are signed too, and are not among them.
 */
void sigv4_sign(struct arena *a, const struct sigv4_key *key,
    const char *method, const struct http_header *headers, const void *body,
    size_t len, int64_t now_unix, struct sigv4_signed *out);

#endif
