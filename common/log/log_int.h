/*
 * log_int: how a line is made, for the files of this folder.
 */
#ifndef COMMON_LOG_LOG_INT_H
#define COMMON_LOG_LOG_INT_H

#include <stddef.h>

#include "common/base/buf.h"
#include "common/log/log.h"

/* Longer values are cut: a stranger's text must not fill the disk. */
#define LOG_TEXT_MAX ((size_t)8192)
#define LOG_FIELD_MAX ((size_t)1024)

/* Time, level, process, code and text; text past max bytes is cut. */
void log_put_head(struct buf *fields, enum log_level level, const char *code,
    const char *text, size_t max);
void log_put_field(struct buf *fields, const char *key, const char *value);
/* The whole line in one write, so that lines of processes never mix. */
void log_put_line(const struct buf *fields);

#endif
