/*
 * scepcaps: what a SCEP server answers to GetCACaps (RFC 8894 section 3.5.2):
 * words, a line each, of any ends of lines and any case.
 */
#ifndef COMMON_PKI_CERT_SCEPCAPS_H
#define COMMON_PKI_CERT_SCEPCAPS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/pki/asn1/span.h"

enum {
	SCEPCAPS_BYTES_MAX = 64 * 1024,
	SCEPCAPS_MAX = 64,     /* words; others are left out */
	SCEPCAPS_WORD_MAX = 64 /* bytes; longer ones are cut */
};

struct scepcaps {
	size_t n;
	const char *words[SCEPCAPS_MAX]; /* in the arena, safe to show */
};

/* Whatever was answered: what is no word of the standard is one of its own. */
void scepcaps_read(struct arena *a, struct span answer, struct scepcaps *out);
/* Whether it says that word, or SCEPStandard, which stands for AES,
 * POSTPKIOperation and SHA-256 too. */
bool scepcaps_has(const struct scepcaps *c, const char *word);

#endif
