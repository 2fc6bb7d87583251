/*
 * alg: the keys and signatures this product speaks, by their DER.
 *
 * Each is known by its whole AlgorithmIdentifier, so that one comparison of
 * bytes decides and no parameter is left unchecked.  Digests are fetched once
 * and kept for the life of the process.  Event loop only.
 */
#ifndef COMMON_PKI_KEY_ALG_H
#define COMMON_PKI_KEY_ALG_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/pki/asn1/span.h"

#define ALG_RSA "RSA"
#define ALG_ECDSA "ECDSA"
#define ALG_ED25519 "Ed25519"
#define ALG_RSA_BITS_MIN 2048
#define ALG_RSA_BITS_MAX 8192

enum alg_md { ALG_MD_NONE, ALG_SHA1, ALG_SHA256, ALG_SHA384, ALG_SHA512 };

struct alg_key {
	struct span der;  /* AlgorithmIdentifier of the SubjectPublicKeyInfo */
	const char *name; /* one of ALG_* */
	int size;         /* bits; 0 when the key itself says it */
	size_t bytes;     /* of the public key; 0 when it varies */
};

struct alg_sig {
	struct span der; /* AlgorithmIdentifier of the signature */
	const char *key; /* the alg_key name that makes it */
	enum alg_md md;
};

/* NULL when it is none of ours.  RSA's are also found without their NULL;
 * what is found has it. */
const struct alg_key *alg_key_find(struct span der);
/* The key of this name and size (0: as in the table); never NULL. */
const struct alg_key *alg_key_named(const char *name, int size);
const struct alg_sig *alg_sig_find(struct span der);
/* What a key of this kind signs with; NULL when none. */
const struct alg_sig *alg_sig_for(const EVP_PKEY *key);
/* NULL for ALG_MD_NONE only: a missing digest ends the process. */
const EVP_MD *alg_md(enum alg_md md);

#endif
