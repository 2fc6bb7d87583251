/*
 * fuzz_jws: signed messages.  What is taken says again what it was read from,
 * and no signature is good that the kept corpus does not hold: the searcher
 * has no key.  The first octet chooses the use; one for a header alone wraps
 * the rest as protected header, so that the search needs no base64.
 */
#include <openssl/err.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/jose/jws.h"
#include "common/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool claim)
{
	if (!claim)
		abort();
}

static void
check_taken(struct arena *a, const struct jws *j)
{
	static const uint8_t secret[64] = {1};
	struct jose_refusal refusal = {0};
	const char *dot = memchr(j->input.p, '.', j->input.len);
	const char *payload;
	rc ret;

	must(dot != NULL && (j->kid != NULL) == (j->jwk == NULL));
	must(j->use == JWS_REQUEST || j->nonce == NULL);
	payload = enc_base64url(a, j->payload.p, j->payload.len);
	must(strcmp(payload, dot + 1) == 0);
	if (j->use == JWS_BINDING) {
		must(strncmp(j->alg, "HS", 2) == 0);
		ret = jws_verify_mac(a, j,
		    (struct span){secret, sizeof(secret)}, &refusal);
		must((ret == RC_OK) == (refusal.why == NULL));
		return;
	}
	must(strncmp(j->alg, "HS", 2) != 0);
	if (!j->jwk)
		return;
	ret = jws_verify(a, j, j->jwk, &refusal);
	must((ret == RC_OK) == (refusal.why == NULL));
	must((refusal.fault == JOSE_ALGORITHM && ret != RC_OK) ==
	     (strcmp(j->alg, j->jwk->kind->alg) != 0));
	if (ret == RC_OK)
		must(j->signature.len == j->jwk->sig_len);
}

/* The bytes as header, with a payload and a signature of some length. */
static const char *
wrap(struct arena *a, const uint8_t *data, size_t size)
{
	static const uint8_t sig[64] = {[31] = 1, [63] = 1};

	return arena_printf(a,
	    "{\"protected\":\"%s\",\"payload\":\"e30\",\"signature\":\"%s\"}",
	    enc_base64url(a, data, size), enc_base64url(a, sig, sizeof(sig)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum jws_use uses[] = {JWS_REQUEST, JWS_KEY_CHANGE,
	    JWS_BINDING};
	struct arena *a = arena_new();
	struct jose_refusal refusal = {0};
	const struct jws *j = NULL;
	const struct cJSON *v = NULL;
	const char *text, *why;
	size_t len;
	rc ret;

	if (size < 1 || size > 65536) {
		arena_free(a);
		return 0;
	}
	text = (const char *)data + 1;
	len = size - 1;
	if (data[0] & 4) {
		text = wrap(a, data + 1, len);
		len = strlen(text);
	}
	if (data[0] % 4 == 3)
		ret = jws_parse(a, text, len, &j, &refusal);
	else if (json_parse(a, text, len, &v, &why) == RC_OK)
		ret = jws_read(a, v, uses[data[0] % 4], &j, &refusal);
	else
		ret = RC_CANCELLED;
	must((ret == RC_OK) == (j != NULL));
	must((ret == RC_INVALID) == (refusal.why != NULL));
	if (ret == RC_OK)
		check_taken(a, j);
	ERR_clear_error();
	arena_free(a);
	return 0;
}
