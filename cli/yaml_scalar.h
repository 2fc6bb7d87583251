/*
 * yaml_scalar: what a plain scalar of YAML is, of those that stand without
 * quotes: null, a boolean, a number of JSON, or a text.
 *
 * What YAML 1.1 and 1.2 read differently (no, 0o17, 1_000) is refused: who
 * wrote it must say which is meant.
 */
#ifndef CLI_YAML_SCALAR_H
#define CLI_YAML_SCALAR_H

#include "common/base/arena.h"

struct cJSON;

/* The caller's.  NULL and *out_why: it is not clear, or too large a number;
 * NULL and no *out_why: there is no memory for it. */
struct cJSON *yaml_scalar_read(struct arena *a, const char *text,
    const char **out_why);

#endif
