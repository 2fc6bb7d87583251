/*
 * The signature of a message that jws_read took.
 */
#include "common/jose/jws.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <string.h>

#include "common/pki/asn1/der.h"

#define CURVE_MAX 48 /* octets of P-384's numbers */
#define SIG_DER_MAX (2 * (CURVE_MAX + 3) + 3)

static rc
refuse(struct jose_refusal *r, enum jose_fault fault, const char *why)
{
	*r = (struct jose_refusal){.fault = fault, .why = why};
	return RC_INVALID;
}

/* --- the octets of ECDSA --- */

static bool
is_in_range(const uint8_t *number, const uint8_t *order, size_t len)
{
	bool zero = true;

	for (size_t i = 0; i < len && zero; i++)
		zero = number[i] == 0;
	return !zero && memcmp(number, order, len) < 0;
}

static void
put_number(struct der_out *w, const uint8_t *number, size_t len)
{
	uint8_t *mark = der_mark(w);

	while (len > 1 && *number == 0) {
		number++;
		len--;
	}
	der_put(w, number, len);
	if (*number & 0x80)
		der_put_byte(w, 0);
	der_put_head(w, DER_INTEGER, mark);
}

/* r and s, side by side (RFC 7518 section 3.4), as X.509 has them (RFC 3279
 * section 2.2.3); empty unless both are from 1 to the order less one. */
static struct span
der_of_raw(const struct jwk *key, struct span raw, uint8_t room[SIG_DER_MAX])
{
	size_t len = raw.len / 2;
	struct der_out w;
	uint8_t *mark;

	if (!is_in_range(raw.p, key->kind->order, len) ||
	    !is_in_range(raw.p + len, key->kind->order, len))
		return (struct span){raw.p, 0};
	der_out_init(&w, room, SIG_DER_MAX);
	mark = der_mark(&w);
	put_number(&w, raw.p + len, len);
	put_number(&w, raw.p, len);
	der_put_head(&w, DER_SEQUENCE, mark);
	return der_out_span(&w);
}

/* --- public keys --- */

static rc
refuse_length(struct arena *a, const struct jws *j, const struct jwk *key,
    struct jose_refusal *out_refusal)
{
	const char *form = "";

	if (key->kind->order)
		form = ": send r and s side by side, each at its full length, "
		       "not DER (RFC 7518 section 3.4)";
	return refuse(out_refusal, JOSE_SIGNATURE,
	    arena_printf(a,
		"the signature has %zu octets, and %s with this key makes "
		"%zu%s",
		j->signature.len, j->alg, key->sig_len, form));
}

rc
jws_verify(struct arena *a, const struct jws *j, const struct jwk *key,
    struct jose_refusal *out_refusal)
{
	struct span sig = j->signature;
	uint8_t room[SIG_DER_MAX];
	rc ret;

	if (strcmp(j->alg, key->kind->alg) != 0) {
		(void)refuse(out_refusal, JOSE_ALGORITHM,
		    arena_printf(a,
			"alg is %s, and the key is %s: sign with %s", j->alg,
			key->kind->people, key->kind->alg));
		out_refusal->algorithms = key->kind->algs;
		return RC_INVALID;
	}
	if (sig.len != key->sig_len)
		return refuse_length(a, j, key, out_refusal);
	if (key->kind->order)
		sig = der_of_raw(key, sig, room);
	ret = sig.len == 0
		  ? RC_INVALID
		  : pubkey_verify(&key->key, key->kind->md, sig, j->input);
	if (ret == RC_INVALID)
		return refuse(out_refusal, JOSE_SIGNATURE,
		    "the signature is not this key's over protected, '.' and "
		    "payload as they were sent: sign with the account's key, "
		    "or the one in jwk");
	return ret;
}

/* --- shared keys --- */

static enum alg_md
mac_md(const char *alg)
{
	if (strcmp(alg, "HS256") == 0)
		return ALG_SHA256;
	return strcmp(alg, "HS384") == 0 ? ALG_SHA384 : ALG_SHA512;
}

rc
jws_verify_mac(struct arena *a, const struct jws *j, struct span key,
    struct jose_refusal *out_refusal)
{
	static const char *const shortest[] = {"HS256", NULL};
	const EVP_MD *md = alg_md(mac_md(j->alg));
	size_t digest_len = (size_t)EVP_MD_get_size(md);
	uint8_t mac[EVP_MAX_MD_SIZE];
	unsigned mac_len = 0;

	if (key.len < digest_len) {
		(void)refuse(out_refusal, JOSE_ALGORITHM,
		    arena_printf(a,
			"%s wants a key of %zu octets or more, and this one "
			"has %zu: make the external account binding with HS256",
			j->alg, digest_len, key.len));
		out_refusal->algorithms = shortest;
		return RC_INVALID;
	}
	if (!HMAC(md, key.p, (int)key.len, j->input.p, j->input.len, mac,
		&mac_len))
		return RC_CRYPTO;
	if (j->signature.len != mac_len ||
	    CRYPTO_memcmp(j->signature.p, mac, mac_len) != 0)
		return refuse(out_refusal, JOSE_SIGNATURE,
		    "the external account binding was not made with the key "
		    "of its kid: use the HMAC key that was given with it, "
		    "decoded from base64url");
	return RC_OK;
}
