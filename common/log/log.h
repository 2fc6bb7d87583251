/*
 * log: one line per event on standard error, logfmt or JSON.
 *
 * A stable code first, then text: log_warn("LEASE-LOST", "held %s", id).
 * Text that came from outside is quoted and escaped by the writer.  Secrets
 * are never passed here.
 */
#ifndef COMMON_LOG_LOG_H
#define COMMON_LOG_LOG_H

#include <stdbool.h>

#include "common/base/attr.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* process: "apiserver"; json: one JSON object a line, else logfmt. */
void log_init(const char *process, enum log_level least, bool json);
bool log_is_on(enum log_level level);
void log_write(enum log_level level, const char *code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* Adds fields after the text: pairs of key, value (const char *), NULL. */
void log_fields(enum log_level level, const char *code, const char *text, ...)
    __attribute__((sentinel));

#define log_debug(code, ...) \
	do { \
		if (log_is_on(LOG_DEBUG)) \
			log_write(LOG_DEBUG, (code), __VA_ARGS__); \
	} while (0)
#define log_info(code, ...) log_write(LOG_INFO, (code), __VA_ARGS__)
#define log_warn(code, ...) log_write(LOG_WARN, (code), __VA_ARGS__)
#define log_error(code, ...) log_write(LOG_ERROR, (code), __VA_ARGS__)
/* An impossible state: logs and aborts. */
void log_fatal(const char *code, const char *fmt, ...)
    PRINTF_LIKE(2, 3) NORETURN;

#endif
