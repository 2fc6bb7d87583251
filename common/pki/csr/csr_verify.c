/*
 * Proof of possession: the request's signature by the key it carries.
 */
#include "common/pki/csr/csr.h"

#include <string.h>

#include "common/pki/key/pubkey.h"

rc
csr_verify(const struct csr *c)
{
	const struct alg_sig *alg = alg_sig_find(c->sig_alg);
	struct pubkey key = {c->key_algorithm, c->key_size, c->spki};

	if (!alg || strcmp(alg->key, c->key_algorithm) != 0)
		return RC_INVALID;
	return pubkey_verify(&key, alg->md, c->sig, c->tbs);
}
