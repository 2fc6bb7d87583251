/*
 * text: what the C library has no function for.
 */
#ifndef COMMON_BASE_TEXT_H
#define COMMON_BASE_TEXT_H

#include <stdbool.h>

/* Whether s is end, or ends with it. */
bool text_ends_with(const char *s, const char *end);
/* The order of two elements of an array of texts, for qsort and bsearch. */
int text_compare(const void *a, const void *b);

/* 0 to 9, in any locale; no other value of c counts, EOF neither. */
static inline bool
text_is_digit(int c)
{
	return c >= '0' && c <= '9';
}

#endif
