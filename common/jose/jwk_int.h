/*
 * jwk_int: what jwk.c and jwk_read.c share.
 */
#ifndef COMMON_JOSE_JWK_INT_H
#define COMMON_JOSE_JWK_INT_H

#include "common/jose/jwk.h"

/* The numbers of a key: RSA's n and e, x and y of a point, or x alone. */
struct jwk_numbers {
	struct span first, second;
};

/* NULL: none such.  crv may be NULL. */
const struct jwk_kind *jwk_kind_find(const char *kty, const char *crv);
/* NULL, or what is wrong with them. */
const char *jwk_numbers_wrong(const struct jwk_kind *kind,
    const struct jwk_numbers *n);
/* Of numbers that are right. */
const struct jwk *jwk_make(struct arena *a, const struct jwk_kind *kind,
    const struct jwk_numbers *n);

#endif
