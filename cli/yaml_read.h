/*
 * yaml_read: YAML as JSON, strictly, read with libyaml.
 *
 * What JSON has no word for is refused: anchors and aliases (a few bytes of
 * which can stand for gigabytes), tags, merge keys, keys that are no texts or
 * stand twice, more than one document; and what YAML 1.1 and 1.2 read
 * differently (yaml_scalar.h).  What another tool wrote comes as texts alone.
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
	YAML_KEYS_MAX = 2000,         /* of one mapping */
	/* Of what another tool exported: a whole cluster's objects. */
	YAML_TEXTS_BYTES_MAX = 16 * 1024 * 1024,
	YAML_TEXTS_NODES_MAX = 400000,
};

/* *out lives in the arena (deferred).  RC_TOO_LARGE past one of the limits,
 * RC_INVALID for the rest; *out_why then says what is wrong and in which
 * line. */
rc yaml_read(struct arena *a, const char *text, size_t len, struct cJSON **out,
    const char **out_why) MUST_CHECK;
/* The same of any number of documents, as an array; every scalar is a text,
 * whatever it looks like, and keys differ by their case too. */
rc yaml_read_texts(struct arena *a, const char *text, size_t len,
    const struct cJSON **out, const char **out_why) MUST_CHECK;

#endif
