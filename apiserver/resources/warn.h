/*
 * warn: what a client should know of a change that was done as asked, and yet
 * may not do what it thinks.
 *
 * Each warning is a sentence in the answer's last member, "warnings", which is
 * there only when there are any.
 */
#ifndef APISERVER_RESOURCES_WARN_H
#define APISERVER_RESOURCES_WARN_H

#include <stddef.h>

#include "apiserver/resources/field.h"
#include "common/base/attr.h"
#include "common/op/op.h"

enum { WARN_MAX = 16 };

/* Of one answer; zeroed at first. */
struct warnings {
	size_t n;
	const char *texts[WARN_MAX];
};

/* For the document that describes the answer. */
extern const struct field warn_fields[];
extern const size_t warn_nfields;

/* The text is copied to the op's arena. */
void warn_add(struct op *op, struct warnings *ws, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* The member, unless there are none. */
void warn_put(struct json_w *w, const struct warnings *ws);
/* A row as the whole reply, with the warnings. */
enum op_next warn_reply_one(struct op *op, int status,
    const struct db_result *rows, size_t row, const struct field *fields,
    size_t n, const struct warnings *ws);

#endif
