#include "apiserver/handlers/acme/binding.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/handlers/acme/signed.h"
#include "common/base/attr.h"
#include "common/base/enc.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "common/pki/key/seal.h"

#define MEMBER "externalAccountBinding"

/* --- what was sent --- */

const struct cJSON *
binding_of(struct op *op)
{
	return json_get_exact(acme_request(op)->payload, MEMBER);
}

/* NULL, or why the key that it speaks for is not the account's. */
static const char *
key_fault(struct op *op, const struct jws *b)
{
	struct jose_refusal refusal = {0};
	const struct cJSON *object;
	const struct jwk *key;
	const char *why;
	rc ret;

	ret = json_parse(op_arena(op), (const char *)b->payload.p,
	    b->payload.len, &object, &why);
	if (ret != RC_OK)
		return op_printf(op, "its payload is no JSON: %s", why);
	ret = jwk_read(op_arena(op), object, &key, &refusal);
	if (ret != RC_OK)
		return op_printf(op, "its payload is no public key: %s",
		    refusal.why);
	if (strcmp(key->thumbprint, acme_request(op)->key->thumbprint) != 0)
		return "its payload must be the key that signs the request";
	return NULL;
}

bool
binding_read(struct op *op, const struct cJSON *binding, const struct jws **out,
    enum op_next *out_next)
{
	struct jose_refusal refusal = {0};
	const char *why = NULL;
	rc ret;

	ret = jws_read(op_arena(op), binding, JWS_BINDING, out, &refusal);
	if (ret != RC_OK) {
		*out_next = acme_problem_jose(op, &refusal, MEMBER ": ");
		return false;
	}
	if (!(*out)->url ||
	    strcmp((*out)->url, acme_request(op)->jws->url) != 0)
		why = "its url must be that of the request around it";
	else
		why = key_fault(op, *out);
	if (why)
		*out_next = acme_problem(op, ACME_MALFORMED,
		    MEMBER ": %s "
			   "(RFC 8555 section 7.3.4)",
		    why);
	return !why;
}

/* --- whose key it is --- */

enum op_next
binding_refuse(struct op *op, const char *word)
{
	static const struct {
		const char *word, *why;
	} all[] = {
	    {"unknown", "there is no key of this kid"},
	    {"foreign", "the key is for another profile"},
	    {"revoked", "the key was revoked"},
	    {"used", "the key has admitted an account, and admits one only"},
	    {"expired", "the key has expired"},
	};
	const char *why = all[0].why;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (strcmp(word, all[i].word) == 0)
			why = all[i].why;
	}
	return acme_problem(op, ACME_UNAUTHORIZED,
	    MEMBER ": %s; ask whoever runs this server for another one", why);
}

/* The key's bytes; the caller frees them. */
static rc
open_key(struct op *op, const char *id, const char *hex, struct secret **out)
{
	struct sealer *s = req_api(op)->sealer;
	size_t len = strlen(hex) / 2;
	uint8_t *blob = arena_alloc(op_arena(op), len + 1);
	rc ret;

	ret = enc_unhex(hex, blob, len);
	if (ret != RC_OK || !s)
		return RC_CRYPTO;
	return unseal(s, binding_place(op, id), blob, len, out);
}

bool
binding_is_good(struct op *op, const struct jws *binding,
    enum op_next *out_next)
{
	const char *word = op_text(op, 0, "word");
	struct jose_refusal refusal = {0};
	struct secret *key = NULL;
	rc ret;

	if (strcmp(word, "active") != 0) {
		*out_next = binding_refuse(op, word);
		return false;
	}
	ret = open_key(op, binding->kid, op_text(op, 0, "hmac_sealed"), &key);
	if (ret != RC_OK) {
		log_error("ACME-EAB",
		    "the key %s does not open: CERTCTL_CONFIG_ENCRYPTION_KEY "
		    "is not the one it was sealed under",
		    binding->kid);
		*out_next = op_fail(op, RC_INTERNAL, "%s", "");
		return false;
	}
	ret = jws_verify_mac(op_arena(op), binding,
	    (struct span){secret_bytes(key), secret_len(key)}, &refusal);
	secret_free(key);
	if (ret == RC_INVALID)
		*out_next = acme_problem_jose(op, &refusal, MEMBER ": ");
	else if (ret != RC_OK)
		*out_next = op_fail(op, ret, "%s", "");
	return ret == RC_OK;
}

/* --- how keys are kept --- */

const char *
binding_place(struct op *op, const char *id)
{
	return op_printf(op, "acme_eab_keys:%s", id);
}

rc
binding_follow(struct op *op, const char *sealed)
{
	size_t len = strlen(sealed) / 2;
	uint8_t *blob = arena_alloc(op_arena(op), len + 1);
	rc ret;

	ret = enc_unhex(sealed, blob, len);
	return ret == RC_OK ? sealer_follow(req_api(op)->sealer, blob, len)
			    : RC_CRYPTO;
}
