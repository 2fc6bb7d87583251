/*
 * secret: key material with a length, wiped when freed, with no way to print.
 */
#ifndef COMMON_BASE_SECRET_H
#define COMMON_BASE_SECRET_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

struct secret; /* defined in secret.c */

/* A copy of the bytes. */
struct secret *secret_new(const void *bytes, size_t len);
/* A file's bytes less one trailing newline; RC_INVALID when it can be read
 * by others, RC_IO, RC_TOO_LARGE past 64 KiB. */
rc secret_new_from_file(const char *path, struct secret **out) MUST_CHECK;
/* Wipes.  NULL is a no-op. */
void secret_free(struct secret *s);
const uint8_t *secret_bytes(const struct secret *s);
size_t secret_len(const struct secret *s);

#endif
