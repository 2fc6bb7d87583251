/*
 * span: bytes that belong to somebody else.
 */
#ifndef COMMON_PKI_ASN1_SPAN_H
#define COMMON_PKI_ASN1_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const uint8_t *p;
	size_t len;
};

static inline bool
span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline struct span
span_of_text(const char *s)
{
	return (struct span){(const uint8_t *)s, strlen(s)};
}

#endif
