/*
 * yaml_tree: documents of YAML 1.1 as a tree, read with libyaml.
 *
 * Every scalar is a string, whatever it looks like.  Aliases and repeated keys
 * are refused: no export holds them, and small texts become huge by them.
 */
#ifndef CLI_IMPORT_YAML_TREE_H
#define CLI_IMPORT_YAML_TREE_H

#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

struct cJSON;

enum { YAML_TREE_DEPTH = 32, YAML_TREE_NODES = 200000 };

/* *out: an array of the documents, in the arena.  RC_INVALID: *out_why says
 * what is wrong and in which line; RC_TOO_LARGE likewise. */
rc yaml_tree_read(struct arena *a, const char *text, size_t len,
    const struct cJSON **out, const char **out_why) MUST_CHECK;

#endif
