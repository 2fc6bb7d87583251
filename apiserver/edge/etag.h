/*
 * etag: which tags a client holds (RFC 9110 section 13.1.2).
 */
#ifndef APISERVER_EDGE_ETAG_H
#define APISERVER_EDGE_ETAG_H

#include <stdbool.h>

/*
 * Whether list, the value of If-None-Match, is "*" or has tag, quotes
 * included, byte for byte: a weak one never equals a strong one.  What is no
 * list has the tags up to where it ceases to be one.
 */
bool etag_list_has(const char *list, const char *tag);

#endif
