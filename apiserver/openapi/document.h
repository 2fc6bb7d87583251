/*
 * document: the API described as OpenAPI 3.1, made once when the process
 * starts, of the route table, the nouns' descriptors and the shapes.  So it
 * says what this process does, and nothing is made for a request.
 */
#ifndef APISERVER_OPENAPI_DOCUMENT_H
#define APISERVER_OPENAPI_DOCUMENT_H

#include <stddef.h>

#include "apiserver/policy/route.h"

struct document {
	char *text; /* JSON, and a newline */
	size_t len;
	char etag[67]; /* with its quotes: of the text's SHA-256 */
};

/* The caller frees it. */
struct document *document_new(const struct route_area *const *areas, size_t n);
void document_free(struct document *d);

#endif
