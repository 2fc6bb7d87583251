/*
 * attr: the compiler attributes this project uses, by the names it uses.
 */
#ifndef COMMON_BASE_ATTR_H
#define COMMON_BASE_ATTR_H

/* The caller must look at the result; cast to (void) only with a reason. */
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))
/* Runs fn(&variable) when the variable leaves its scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
