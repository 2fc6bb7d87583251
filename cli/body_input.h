/*
 * body_input: the body of a call from a file, JSON or YAML.
 *
 * What begins with { is JSON, else it is YAML (yaml_read.h says which); - is
 * standard input.  It holds an object.
 */
#ifndef CLI_BODY_INPUT_H
#define CLI_BODY_INPUT_H

#include "common/base/attr.h"

struct cJSON;
struct cli;

enum { BODY_BYTES_MAX = 1024 * 1024 };

/* *out lives in c->arena, and the caller may change it.  EXIT_FAILED with a
 * message: it can't be read, is larger than BODY_BYTES_MAX, or is none. */
int body_input(struct cli *c, const char *file, struct cJSON **out) MUST_CHECK;

#endif
