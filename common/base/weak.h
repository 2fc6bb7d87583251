/*
 * weak: whether a key or passphrase that a person chose is too easy to guess.
 * The one rule for every secret of the configuration.
 */
#ifndef COMMON_BASE_WEAK_H
#define COMMON_BASE_WEAK_H

#include <stdbool.h>
#include <stddef.h>

enum { WEAK_LENGTH_GOOD = 24 };

/* How to make a good one; for messages. */
#define WEAK_REMEDY "openssl rand -base64 32"
/* Why weak_is_refused refuses. */
#define WEAK_WHY \
	"it is too easy to guess: fewer than 12 characters, or few " \
	"different ones; make one with: " WEAK_REMEDY

/* Fewer than 12 bytes, or fewer than 6 different ones: not to be used. */
bool weak_is_refused(const char *key, size_t len);
/* Fewer than WEAK_LENGTH_GOOD bytes: used, with a warning. */
bool weak_is_short(size_t len);

#endif
