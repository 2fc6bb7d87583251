/*
 * body_input: the body of a call from a file, JSON or YAML; and JSON of the
 * command line.
 *
 * What begins with { is JSON, else it is YAML (yaml_read.h says which); - is
 * standard input.  It holds an object.
 */
#ifndef CLI_BODY_INPUT_H
#define CLI_BODY_INPUT_H

#include <stddef.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

struct cJSON;
struct cli;

enum { BODY_BYTES_MAX = 1024 * 1024 };

/* *out lives in c->arena, and the caller may change it.  EXIT_FAILED with a
 * message: it can't be read, is larger than BODY_BYTES_MAX, or is none. */
int body_input(struct cli *c, const char *file, struct cJSON **out) MUST_CHECK;
/* The same of a text that is JSON, of any type.  Not RC_OK: *out_why says what
 * is wrong; so it does of a number whose digits would not be kept. */
rc body_input_json(struct cli *c, const char *text, size_t len,
    struct cJSON **out, const char **out_why) MUST_CHECK;

#endif
