/*
 * cursor: where a walk through the certificates stands.
 *
 * URL-safe base64, with padding, of "<created_at RFC 3339>:<id>".  Both may
 * contain what the other does not: ids have no ":", so the last one splits.
 */
#ifndef APISERVER_HANDLERS_CERTIFICATES_CURSOR_H
#define APISERVER_HANDLERS_CERTIFICATES_CURSOR_H

#include <stdbool.h>

#include "common/base/arena.h"

const char *cursor_encode(struct arena *a, const char *created_at,
    const char *id);
/* False for what is no cursor: the walk starts from the beginning then. */
bool cursor_decode(struct arena *a, const char *text,
    const char **out_created_at, const char **out_id);

#endif
