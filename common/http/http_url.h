/*
 * http_url: addresses that people name, taken apart by curl's own reader, so
 * that what was judged is what is asked.
 */
#ifndef COMMON_HTTP_HTTP_URL_H
#define COMMON_HTTP_HTTP_URL_H

#include <stdbool.h>

#include "common/base/arena.h"

struct sockaddr_storage;

/* NULL, or why it is no address http://host/... or https://host/... that may
 * be asked: other schemes, a user or password, a fragment.  Static text that
 * goes on behind the address's name. */
const char *http_url_refuses(const char *url);
/* Whether its host is an address and no name; then *out is it.  url is one that
 * http_url_refuses does not refuse. */
bool http_url_address(const char *url, struct sockaddr_storage *out);
/* The same with "name=value" put at the end of its query, in the arena. */
const char *http_url_with(struct arena *a, const char *url,
    const char *argument);

struct http_url_parts { /* in the arena */
	const char *url;
	const char *host; /* without brackets */
	int port;
};

/* Where a reference leads that stands at base (RFC 3986, section 5), its
 * fragment aside.  False: it can't be read; what it is, http_url_refuses
 * judges. */
bool http_url_join(struct arena *a, const char *base, const char *reference,
    struct http_url_parts *out);

#endif
