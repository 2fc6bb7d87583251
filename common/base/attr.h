/*
 * attr: the compiler attributes this project uses, by the names it uses.
 */
#ifndef COMMON_BASE_ATTR_H
#define COMMON_BASE_ATTR_H

/* The caller must look at the result. */
#define MUST_CHECK __attribute__((warn_unused_result))
/* A result dropped on purpose, with the reason beside it: gcc warns at a
 * plain cast to void. */
#define IGNORE_RESULT(call) \
	do { \
		if (call) { \
		} \
	} while (0)
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))
/* Runs fn(&variable) when the variable leaves its scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
