/*
 * yaml_read: one YAML document as JSON, strictly.
 *
 * What YAML 1.1 and 1.2 read differently (no, 0o17, 1_000) is refused: who
 * wrote it must say which is meant.  So is what JSON has no word for: anchors
 * and aliases (a few bytes of which can stand for gigabytes), tags, merge
 * keys, keys that are no texts or stand twice, and more than one document.
 */
#ifndef CLI_YAML_READ_H
#define CLI_YAML_READ_H

#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

struct cJSON;

enum {
	YAML_BYTES_MAX = 1024 * 1024, /* of the text */
	YAML_DEPTH_MAX = 32,          /* as of json_parse */
	YAML_NODES_MAX = 20000,       /* values and keys */
};

/* *out lives in the arena (deferred).  RC_TOO_LARGE past one of the limits,
 * RC_INVALID for the rest; *out_why then says what is wrong and in which
 * line. */
rc yaml_read(struct arena *a, const char *text, size_t len, struct cJSON **out,
    const char **out_why) MUST_CHECK;

#endif
