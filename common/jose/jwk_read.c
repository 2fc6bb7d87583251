#include "common/jose/jwk.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/jose/jwk_int.h"
#include "common/json/json.h"

#define NUMBER_MAX 1366 /* base64url of 8192 bits */
#define TEXT_MAX 64
#define KEYS_TAKEN \
	"use EC on P-256 or P-384, RSA of 2048 to 8192 bits, or OKP with " \
	"Ed25519"

static rc
refuse(struct jose_refusal *r, const char *why)
{
	*r = (struct jose_refusal){.fault = JOSE_KEY, .why = why};
	return RC_INVALID;
}

/* RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1, RFC 8037 section 2. */
static bool
has_private_part(const struct cJSON *object)
{
	static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi",
	    "oth", "k"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (json_get_exact(object, names[i]))
			return true;
	}
	return false;
}

/* Absent is fine. */
static bool
is_text(const struct cJSON *object, const char *name, const char *wanted)
{
	const char *text;
	rc ret = json_str_exact(object, name, TEXT_MAX, &text);

	if (ret == RC_NOT_FOUND)
		return true;
	return ret == RC_OK && strcmp(text, wanted) == 0;
}

/* RFC 7517 section 4.3: texts, none twice; here "verify" is among them. */
static bool
ops_allow_verify(const struct cJSON *object)
{
	const struct cJSON *ops = json_get_exact(object, "key_ops");
	const struct cJSON *one, *other;
	bool found = false;
	size_t n = 0;

	if (!ops)
		return true;
	if (!cJSON_IsArray(ops))
		return false;
	for (one = ops->child; one; one = one->next) {
		if (!cJSON_IsString(one) || ++n > 16)
			return false;
		for (other = ops->child; other != one; other = other->next) {
			if (strcmp(one->valuestring, other->valuestring) == 0)
				return false;
		}
		found = found || strcmp(one->valuestring, "verify") == 0;
	}
	return found;
}

static const char *
use_wrong(const struct cJSON *object, const struct jwk_kind *kind)
{
	if (!is_text(object, "use", "sig"))
		return "jwk: use is \"sig\", or left out, for a key that signs "
		       "requests";
	if (!ops_allow_verify(object))
		return "jwk: key_ops is a list of texts, each once, with "
		       "\"verify\" among them; or it is left out";
	if (!is_text(object, "alg", kind->alg))
		return "jwk: alg does not fit the key: leave it out, or give "
		       "ES256 for P-256, ES384 for P-384, RS256 for RSA, EdDSA "
		       "for Ed25519";
	return NULL;
}

static const struct jwk_kind *
read_kind(const struct cJSON *object, struct jose_refusal *out_refusal)
{
	const struct jwk_kind *kind;
	const char *kty, *crv = NULL;
	rc ret;

	ret = json_str_exact(object, "kty", TEXT_MAX, &kty);
	if (ret != RC_OK) {
		(void)refuse(out_refusal,
		    "jwk: kty is missing or no text: " KEYS_TAKEN);
		return NULL;
	}
	ret = json_str_exact(object, "crv", TEXT_MAX, &crv);
	kind = ret == RC_INVALID ? NULL : jwk_kind_find(kty, crv);
	if (!kind)
		(void)refuse(out_refusal, "jwk: this type of key or curve is "
					  "not taken: " KEYS_TAKEN);
	return kind;
}

/* RC_NOT_FOUND is RC_INVALID here. */
static rc
read_number(struct arena *a, const struct cJSON *object, const char *name,
    struct span *out)
{
	const char *text;
	uint8_t *bytes;
	size_t len;
	rc ret;

	ret = json_str_exact(object, name, NUMBER_MAX, &text);
	if (ret != RC_OK)
		return RC_INVALID;
	ret = enc_unbase64url(a, text, strlen(text), &bytes, &len);
	if (ret != RC_OK)
		return RC_INVALID;
	*out = (struct span){bytes, len};
	return RC_OK;
}

static rc
read_numbers(struct arena *a, const struct cJSON *object,
    const struct jwk_kind *kind, struct jwk_numbers *n)
{
	rc ret;

	if (!kind->crv) {
		ret = read_number(a, object, "n", &n->first);
		return rc_first(ret, read_number(a, object, "e", &n->second));
	}
	ret = read_number(a, object, "x", &n->first);
	if (kind->order)
		ret = rc_first(ret, read_number(a, object, "y", &n->second));
	return ret;
}

rc
jwk_read(struct arena *a, const struct cJSON *object, const struct jwk **out,
    struct jose_refusal *out_refusal)
{
	const struct jwk_kind *kind;
	struct jwk_numbers n = {0};
	const struct jwk *k;
	const char *why;
	rc ret;

	if (!cJSON_IsObject(object)) {
		(void)refuse(out_refusal, "jwk is an object (RFC 7517)");
		out_refusal->fault = JOSE_MALFORMED;
		return RC_INVALID;
	}
	if (has_private_part(object))
		return refuse(out_refusal,
		    "jwk holds a private or secret key: that key is no secret "
		    "any more, so make a new one and send its public part");
	kind = read_kind(object, out_refusal);
	if (!kind)
		return RC_INVALID;
	why = use_wrong(object, kind);
	if (why)
		return refuse(out_refusal, why);
	ret = read_numbers(a, object, kind, &n);
	if (ret != RC_OK)
		return refuse(out_refusal,
		    "jwk: a number of the key (n and e, x and y, or x) is "
		    "missing, too long, or not base64url without padding");
	why = jwk_numbers_wrong(kind, &n);
	if (why)
		return refuse(out_refusal, arena_printf(a, "jwk: %s", why));
	k = jwk_make(a, kind, &n);
	ret = pubkey_check(&k->key);
	if (ret != RC_OK)
		return refuse(out_refusal,
		    "jwk: x and y are no point of the curve that crv names");
	*out = k;
	return RC_OK;
}
