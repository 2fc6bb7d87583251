/*
 * typed: a line that somebody types, byte by byte, as UTF-8.
 */
#ifndef CLI_TOP_TYPED_H
#define CLI_TOP_TYPED_H

#include <stddef.h>

enum { TYPED_MAX = 160, TYPED_CHAR_MAX = 4 };

/* All zero at first. */
struct typed {
	char text[TYPED_MAX + 1];       /* whole characters */
	char begun[TYPED_CHAR_MAX + 1]; /* of one that is not whole yet */
};

/* Takes a byte.  What nobody sees, blanks, and what is no UTF-8 or has no room
 * is dropped. */
void typed_take(struct typed *t, unsigned char byte);
/* Takes the last character away. */
void typed_back(struct typed *t);
void typed_clear(struct typed *t);

#endif
