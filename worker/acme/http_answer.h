/*
 * http_answer: what http-01 makes of answers (RFC 8555, section 8.3).
 */
#ifndef WORKER_ACME_HTTP_ANSWER_H
#define WORKER_ACME_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"

enum { HTTP01_REPLY_MAX = 16384, HTTP01_REDIRECTS_MAX = 10 };

/* Whether the body is the key authorization, white space after it aside. */
bool http01_holds(const char *body, size_t len, const char *wanted);

struct http01_target { /* in the arena */
	const char *url, *host;
	int port;
};

/* Where a redirect leads from url.  NULL, or why it is not followed, as "it
 * leads to port 8080". */
const char *http01_redirect(struct arena *a, const char *url,
    const char *location, struct http01_target *out);

#endif
