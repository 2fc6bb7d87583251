/*
 * json_scan: the grammar check that foreign text passes before cJSON sees it.
 *
 * Accepts what RFC 8259 and RFC 7493 accept and no more.  Private to
 * common/json; call json_parse.
 */
#ifndef COMMON_JSON_JSON_SCAN_H
#define COMMON_JSON_JSON_SCAN_H

#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

#define JSON_DEPTH_MAX 32
/* cJSON copies a number into 64 bytes and stumbles over a longer one. */
#define JSON_NUMBER_MAX 63

/* RC_INVALID with *out_why, "... at byte n", in the arena. */
rc json_scan(struct arena *a, const char *text, size_t len,
    const char **out_why) MUST_CHECK;

#endif
