#include "common/pki/key/alg.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/pki/key/key.h"

#define BYTES(text) \
	{ \
		(const uint8_t *)(text), sizeof(text) - 1 \
	}
#define RSA_OID "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01"
#define EC_OID "\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"
#define ECDSA_OID "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03"

/* RFC 3279, RFC 5480, RFC 8410. */
static const struct alg_key keys[] = {
    {BYTES("\x30\x13" EC_OID "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"),
	ALG_ECDSA, 256, 65},
    {BYTES("\x30\x10" EC_OID "\x06\x05\x2b\x81\x04\x00\x22"), ALG_ECDSA, 384,
	97},
    {BYTES("\x30\x10" EC_OID "\x06\x05\x2b\x81\x04\x00\x23"), ALG_ECDSA, 521,
	133},
    {BYTES("\x30\x0d" RSA_OID "\x01\x05\x00"), ALG_RSA, 0, 0},
    {BYTES("\x30\x05\x06\x03\x2b\x65\x70"), ALG_ED25519, 0, 32},
};

/* RFC 5758, RFC 4055, RFC 8410. */
static const struct alg_sig sigs[] = {
    {BYTES("\x30\x0a" ECDSA_OID "\x02"), ALG_ECDSA, ALG_SHA256},
    {BYTES("\x30\x0a" ECDSA_OID "\x03"), ALG_ECDSA, ALG_SHA384},
    {BYTES("\x30\x0a" ECDSA_OID "\x04"), ALG_ECDSA, ALG_SHA512},
    {BYTES("\x30\x0d" RSA_OID "\x0b\x05\x00"), ALG_RSA, ALG_SHA256},
    {BYTES("\x30\x0d" RSA_OID "\x0c\x05\x00"), ALG_RSA, ALG_SHA384},
    {BYTES("\x30\x0d" RSA_OID "\x0d\x05\x00"), ALG_RSA, ALG_SHA512},
    {BYTES("\x30\x05\x06\x03\x2b\x65\x70"), ALG_ED25519, ALG_MD_NONE},
};

/* RFC 4055 section 2.1: the parameters of RSA's identifiers are NULL, and
 * their absence is to be accepted. */
static bool
is_same(struct span known, struct span der)
{
	static const uint8_t null[] = {0x05, 0x00};

	if (span_equal(known, der))
		return true;
	return known.len == der.len + sizeof(null) && der.len > 2 &&
	       memcmp(known.p + der.len, null, sizeof(null)) == 0 &&
	       der.p[0] == known.p[0] &&
	       der.p[1] + sizeof(null) == known.p[1] &&
	       memcmp(known.p + 2, der.p + 2, der.len - 2) == 0;
}

const struct alg_key *
alg_key_find(struct span der)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (is_same(keys[i].der, der))
			return &keys[i];
	}
	return NULL;
}

const struct alg_key *
alg_key_named(const char *name, int size)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (strcmp(keys[i].name, name) == 0 && keys[i].size == size)
			return &keys[i];
	}
	abort(); /* asked for by our own tables only */
}

const struct alg_sig *
alg_sig_find(struct span der)
{
	for (size_t i = 0; i < ARRAY_LEN(sigs); i++) {
		if (is_same(sigs[i].der, der))
			return &sigs[i];
	}
	return NULL;
}

const struct alg_sig *
alg_sig_for(const EVP_PKEY *key)
{
	enum alg_md md = ALG_SHA256;
	const char *name;
	int size;

	name = key_algorithm(key, &size);
	if (strcmp(name, ALG_ED25519) == 0)
		md = ALG_MD_NONE;
	else if (strcmp(name, ALG_ECDSA) == 0 && size == 384)
		md = ALG_SHA384;
	else if (strcmp(name, ALG_ECDSA) == 0 && size == 521)
		md = ALG_SHA512;
	for (size_t i = 0; i < ARRAY_LEN(sigs); i++) {
		if (strcmp(sigs[i].key, name) == 0 && sigs[i].md == md)
			return &sigs[i];
	}
	return NULL;
}

const EVP_MD *
alg_md(enum alg_md md)
{
	static const char *const names[] = {[ALG_SHA1] = "SHA1",
	    [ALG_SHA256] = "SHA256",
	    [ALG_SHA384] = "SHA384",
	    [ALG_SHA512] = "SHA512"};
	static EVP_MD *fetched[ARRAY_LEN(names)];

	if (md == ALG_MD_NONE)
		return NULL;
	if (!fetched[md])
		fetched[md] = EVP_MD_fetch(NULL, names[md], NULL);
	if (!fetched[md])
		abort(); /* libcrypto without SHA: nothing can work */
	return fetched[md];
}
