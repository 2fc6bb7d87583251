#include "common/jose/jws.h"

#include <cjson/cJSON.h>
#include <string.h>
#include <strings.h>

#include "common/base/enc.h"
#include "common/json/json.h"

#define ALG_MAX 64
#define SIG_LEN_MAX (ALG_RSA_BITS_MAX / 8)

static const char *const algs_public[] = {"ES256", "ES384", "RS256", "EdDSA",
    NULL};
static const char *const algs_mac[] = {"HS256", "HS384", "HS512", NULL};

struct reading {
	struct arena *a;
	const struct cJSON *header; /* the protected one */
	struct jws *j;
	struct jose_refusal *refusal;
};

static rc
refuse(struct reading *r, const char *why)
{
	*r->refusal =
	    (struct jose_refusal){.fault = JOSE_MALFORMED, .why = why};
	return RC_INVALID;
}

/* --- the three members --- */

static rc
read_base64url(struct reading *r, const struct cJSON *object, const char *name,
    const char **out_text, struct span *out)
{
	const struct cJSON *item = json_get_exact(object, name);
	uint8_t *bytes;
	size_t len;
	rc ret;

	if (!cJSON_IsString(item))
		return refuse(r, arena_printf(r->a,
				     "%s is missing or no text: send a JWS as "
				     "an object of protected, payload and "
				     "signature (RFC 8555 section 6.2)",
				     name));
	*out_text = item->valuestring;
	ret = enc_unbase64url(r->a, *out_text, strlen(*out_text), &bytes, &len);
	if (ret != RC_OK)
		return refuse(r, arena_printf(r->a,
				     "%s is not base64url without padding and "
				     "white space (RFC 7515 section 2)",
				     name));
	*out = (struct span){bytes, len};
	return RC_OK;
}

static rc
read_header(struct reading *r, struct span bytes)
{
	const char *why;
	rc ret;

	ret = json_parse(r->a, (const char *)bytes.p, bytes.len, &r->header,
	    &why);
	if (ret != RC_OK)
		return refuse(r,
		    arena_printf(r->a, "the protected header: %s", why));
	if (!cJSON_IsObject(r->header))
		return refuse(r, "the protected header is no JSON object");
	return RC_OK;
}

static rc
read_parts(struct reading *r, const struct cJSON *object)
{
	const char *protected, *payload, *signature;
	struct span header;
	rc ret;

	if (!cJSON_IsObject(object))
		return refuse(r,
		    "the JWS is no JSON object: send the flattened "
		    "form (RFC 7515 section 7.2.2)");
	if (json_get(object, "header"))
		return refuse(r, "the JWS has an unprotected header: put all "
				 "of it into protected");
	if (json_get(object, "signatures"))
		return refuse(r, "the JWS is of the form for several "
				 "signatures: send the flattened one with one "
				 "signature (RFC 7515 section 7.2.2)");
	ret = read_base64url(r, object, "protected", &protected, &header);
	if (ret == RC_OK)
		ret = read_base64url(r, object, "payload", &payload,
		    &r->j->payload);
	if (ret == RC_OK)
		ret = read_base64url(r, object, "signature", &signature,
		    &r->j->signature);
	if (ret != RC_OK)
		return ret;
	if (r->j->signature.len == 0 || r->j->signature.len > SIG_LEN_MAX)
		return refuse(r, "the signature is empty or longer than any "
				 "key makes");
	r->j->input =
	    span_of_text(arena_printf(r->a, "%s.%s", protected, payload));
	return read_header(r, header);
}

/* --- the protected header --- */

static rc
read_alg(struct reading *r)
{
	const char *const *known =
	    r->j->use == JWS_BINDING ? algs_mac : algs_public;
	rc ret;

	ret = json_str_exact(r->header, "alg", ALG_MAX, &r->j->alg);
	if (ret == RC_NOT_FOUND)
		return refuse(r, "the protected header has no alg");
	for (size_t i = 0; ret == RC_OK && known[i]; i++) {
		if (strcmp(known[i], r->j->alg) == 0)
			return RC_OK;
	}
	*r->refusal = (struct jose_refusal){.fault = JOSE_ALGORITHM,
	    .why = known == algs_mac
		       ? "alg is not taken here: make the external account "
			 "binding with HS256, HS384 or HS512"
		       : "alg is not taken: sign with ES256, ES384, RS256 or "
			 "EdDSA",
	    .algorithms = known};
	return RC_INVALID;
}

/* RFC 7515 sections 4.1.9 and 4.1.11, RFC 7797 section 3. */
static rc
read_extensions(struct reading *r)
{
	const struct cJSON *b64 = json_get_exact(r->header, "b64");
	const char *typ;
	rc ret;

	if (json_get_exact(r->header, "crit"))
		return refuse(r, "the protected header has crit, and no "
				 "extension is understood: leave it out");
	if (b64 && !cJSON_IsTrue(b64))
		return refuse(r, "b64 is not true: send the payload in "
				 "base64url");
	ret = json_str_exact(r->header, "typ", ALG_MAX, &typ);
	if (ret == RC_INVALID ||
	    (ret == RC_OK && strcasecmp(typ, "jose+json") != 0 &&
		strcasecmp(typ, "application/jose+json") != 0))
		return refuse(r, "typ is neither \"jose+json\" nor left out");
	return RC_OK;
}

/* NULL when it is absent. */
static rc
read_text(struct reading *r, const char *name, size_t max, const char **out)
{
	rc ret = json_str_exact(r->header, name, max, out);

	if (ret == RC_INVALID)
		return refuse(r, arena_printf(r->a,
				     "%s is no text, or has more than %zu "
				     "octets",
				     name, max));
	return RC_OK;
}

/* RFC 8555 section 6.5.2; none in the inner ones: 7.3.4 and 7.3.5. */
static rc
read_nonce(struct reading *r)
{
	uint8_t *bytes;
	size_t len;
	rc ret;

	ret = read_text(r, "nonce", JWS_NONCE_MAX, &r->j->nonce);
	if (ret != RC_OK || !r->j->nonce)
		return ret;
	if (r->j->use != JWS_REQUEST)
		return refuse(r, "the inner JWS has a nonce: only the request "
				 "around it has one");
	ret = enc_unbase64url(r->a, r->j->nonce, strlen(r->j->nonce), &bytes,
	    &len);
	if (ret != RC_OK || len == 0)
		return refuse(r, "nonce is not base64url: send the value of a "
				 "Replay-Nonce as it is");
	return RC_OK;
}

/* Which key signed: by its name, or itself. */
static rc
read_key(struct reading *r)
{
	const struct cJSON *jwk = json_get_exact(r->header, "jwk");
	rc ret;

	ret = read_text(r, "kid", JWS_KID_MAX, &r->j->kid);
	if (ret != RC_OK)
		return ret;
	if (r->j->kid && jwk)
		return refuse(r, "the protected header has both kid and jwk: "
				 "send one of them");
	if (!r->j->kid && !jwk)
		return refuse(r, "the protected header has neither kid nor "
				 "jwk: send the account's URL as kid, or the "
				 "key as jwk");
	if (r->j->use == JWS_KEY_CHANGE && !jwk)
		return refuse(r, "the inner JWS has a kid: send the new key "
				 "as jwk (RFC 8555 section 7.3.5)");
	if (r->j->use == JWS_BINDING && jwk)
		return refuse(r, "the external account binding has a jwk in "
				 "its header: send as kid the key id that was "
				 "given to you (RFC 8555 section 7.3.4)");
	return jwk ? jwk_read(r->a, jwk, &r->j->jwk, r->refusal) : RC_OK;
}

rc
jws_read(struct arena *a, const struct cJSON *object, enum jws_use use,
    const struct jws **out, struct jose_refusal *out_refusal)
{
	struct reading r = {.a = a,
	    .j = arena_alloc(a, sizeof(*r.j)),
	    .refusal = out_refusal};
	rc ret;

	r.j->use = use;
	ret = read_parts(&r, object);
	if (ret == RC_OK)
		ret = read_alg(&r);
	if (ret == RC_OK)
		ret = read_extensions(&r);
	if (ret == RC_OK)
		ret = read_text(&r, "url", JWS_URL_MAX, &r.j->url);
	if (ret == RC_OK)
		ret = read_nonce(&r);
	if (ret == RC_OK)
		ret = read_key(&r);
	if (ret == RC_OK)
		*out = r.j;
	return ret;
}

rc
jws_parse(struct arena *a, const char *text, size_t len, const struct jws **out,
    struct jose_refusal *out_refusal)
{
	struct reading r = {.a = a, .refusal = out_refusal};
	const struct cJSON *object;
	const char *why;
	rc ret;

	ret = json_parse(a, text, len, &object, &why);
	if (ret != RC_OK)
		return refuse(&r,
		    arena_printf(a,
			"the body is no JWS of the flattened JSON form: %s",
			why));
	return jws_read(a, object, JWS_REQUEST, out, out_refusal);
}
