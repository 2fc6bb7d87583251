/*
 * operation: one row of the route table as the document has it.
 */
#ifndef APISERVER_OPENAPI_OPERATION_H
#define APISERVER_OPENAPI_OPERATION_H

#include "apiserver/policy/route.h"
#include "common/json/json.h"

/* The pattern as a key: without the kinds of its parameters. */
void operation_put_path(struct json_w *w, const char *pattern);
/* "get": {...}, and where HEAD is asked as GET "head": {...}. */
void operation_put(struct json_w *w, const struct route_area *area,
    const struct route *route);

#endif
