#include "worker/issuers/google_auth.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/base/plain.h"
#include "common/jose/jws_sign.h"
#include "common/json/json.h"
#include "common/pki/key/alg.h"
#include "common/pki/key/key.h"

#define SCOPE "https://www.googleapis.com/auth/cloud-platform"
#define GRANT "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
#define JWT_S 3600 /* no more is allowed */
/* Of an access token's end: what is under way then must end before it. */
#define MARGIN_S 300
#define TOKEN_MAX 8000
#define REPLY_MAX 65536

/* --- the account --- */

static void
free_key(void *arg)
{
	EVP_PKEY_free(arg);
}

static rc
read_key(struct arena *a, const struct cJSON *object, EVP_PKEY **out)
{
	const char *pem = "";
	int bits;
	rc ret;

	ret = json_str(object, "private_key", REPLY_MAX, &pem);
	if (ret == RC_OK)
		ret = key_from_pem(pem, strlen(pem), out);
	if (ret != RC_OK)
		return RC_INVALID;
	arena_defer(a, free_key, *out);
	return strcmp(key_algorithm(*out, &bits), ALG_RSA) == 0 &&
		       bits >= ALG_RSA_BITS_MIN
		   ? RC_OK
		   : RC_INVALID;
}

static bool
is_of(const struct cJSON *object, const char *name, const char *want)
{
	const char *text = "";
	rc ret;

	ret = json_str(object, name, REPLY_MAX, &text);
	return ret == RC_OK && strcmp(text, want) == 0;
}

static const char *
name_of(const struct cJSON *object, const char *name)
{
	const char *text = "";
	rc ret;

	ret = json_str(object, name, 255, &text);
	return ret == RC_OK && plain_is_line(text) ? text : "";
}

/* cJSON has copies of its own, which nobody wipes. */
static void
wipe_key(const struct cJSON *object)
{
	const char *pem = NULL;

	if (json_str(object, "private_key", REPLY_MAX, &pem) == RC_OK)
		mem_wipe((char *)(uintptr_t)pem, strlen(pem));
}

static const char *
refusal_of(struct arena *a, const struct cJSON *object, const char *token_url,
    struct google_account *out)
{
	if (!is_of(object, "type", "service_account"))
		return "credentials: its type is not service_account";
	out->client_email = name_of(object, "client_email");
	out->key_id = name_of(object, "private_key_id");
	if (out->client_email[0] == '\0')
		return "credentials: it has no client_email";
	if (json_get(object, "token_uri") &&
	    !is_of(object, "token_uri", token_url))
		return "credentials: its token_uri is another than token_url";
	if (read_key(a, object, &out->key) != RC_OK)
		return "credentials: its private_key is no RSA key in PEM of "
		       "2048 bits or more";
	return NULL;
}

rc
google_account_read(struct arena *a, const char *json, const char *token_url,
    struct google_account *out, const char **out_why)
{
	const char *both = arena_printf(a, "%s %zu", token_url, strlen(json));
	const struct cJSON *object;
	uint8_t mac[32];
	char hex[65];

	if (json_parse(a, json, strlen(json), &object, out_why) != RC_OK) {
		*out_why = "credentials: it is no JSON, as the key file of a "
			   "service account is";
		return RC_INVALID;
	}
	*out_why = refusal_of(a, object, token_url, out);
	wipe_key(object);
	if (*out_why)
		return RC_INVALID;
	enc_hmac_sha256(json, strlen(json), both, strlen(both), mac);
	enc_hex(mac, sizeof(mac), hex);
	out->memory_key = arena_strdup(a, hex);
	out->token_url = token_url;
	return RC_OK;
}

/* --- its tokens --- */

static const char *
claims(struct arena *a, const struct google_account *account, int64_t now)
{
	const char *text;
	struct json_w w;
	struct buf b;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "iss", account->client_email);
	json_w_kv(&w, "scope", SCOPE);
	json_w_kv(&w, "aud", account->token_url);
	json_w_kv_int(&w, "iat", now);
	json_w_kv_int(&w, "exp", now + JWT_S);
	json_w_close(&w, '}');
	text = arena_strdup(a, buf_cstr(&b));
	buf_fini(&b);
	return text;
}

static const char *
header(struct arena *a, const struct google_account *account)
{
	const char *text;
	struct json_w w;
	struct buf b;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "alg", "RS256");
	json_w_kv(&w, "typ", "JWT");
	json_w_kv_opt(&w, "kid", account->key_id);
	json_w_close(&w, '}');
	text = arena_strdup(a, buf_cstr(&b));
	buf_fini(&b);
	return text;
}

rc
google_token_ask(const struct issuer_env *env, struct arena *a,
    const struct google_account *account, int64_t now_unix,
    issuer_reply_fn *done, void *arg)
{
	struct http_request req = {
	    .method = "POST",
	    .url = account->token_url,
	    .content_type = "application/x-www-form-urlencoded",
	    .timeout_ms = ISSUER_HTTP_MS,
	    .max_reply = REPLY_MAX,
	};
	const char *jwt, *body;
	rc ret;

	ret = jws_sign_compact(a, account->key, header(a, account),
	    claims(a, account, now_unix), &jwt);
	if (ret != RC_OK)
		return ret;
	body = arena_printf(a, "grant_type=%s&assertion=%s", GRANT, jwt);
	req.body = body;
	req.body_len = strlen(body);
	return issuer_http_start(env, a, &req, done, arg);
}

const char *
google_token_read(const struct cJSON *json, int64_t *out_s)
{
	const char *token = "";
	int64_t seconds = 0;
	rc ret;

	ret = json_str(json, "access_token", TOKEN_MAX, &token);
	if (ret != RC_OK || token[0] == '\0' || !plain_is_line(token))
		return NULL;
	ret = json_int(json, "expires_in", 0, INT32_MAX, &seconds);
	*out_s = ret == RC_OK ? seconds - MARGIN_S : 0;
	return token;
}
