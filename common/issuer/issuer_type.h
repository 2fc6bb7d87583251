/*
 * issuer_type: the types of issuers and the keys of their configurations, as
 * issuers.def has them.
 */
#ifndef COMMON_ISSUER_ISSUER_TYPE_H
#define COMMON_ISSUER_ISSUER_TYPE_H

#include <stddef.h>

#include "common/cfg/configkey.h"

struct issuer_type {
	const char *type;  /* as stored, and as the API spells it */
	const char *words; /* other spellings, lower case, with commas */
	const struct configkey *keys;
	size_t nkeys;
};

/* All of them, one without a type at the end. */
extern const struct issuer_type issuer_types[];

/* By its stored spelling; NULL when there is none. */
const struct issuer_type *issuer_type_find(const char *type);
/* By any spelling that clients send, in any case; NULL likewise. */
const struct issuer_type *issuer_type_of_word(const char *word);

#endif
