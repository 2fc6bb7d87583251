#include "apiserver/live/nonce.h"

#include <string.h>

#include <openssl/crypto.h>

#include "common/base/enc.h"
#include "common/base/rand.h"

rc
nonce_key_read(const char *id_hex, const char *key_hex, struct nonce_key *out)
{
	rc ret = enc_unhex(id_hex, out->id, NONCE_ID_BYTES);

	if (ret == RC_OK)
		ret = enc_unhex(key_hex, out->bytes, NONCE_KEY_BYTES);
	return ret;
}

static void
put_time(uint8_t *out, int64_t unix_s)
{
	for (int i = NONCE_TIME_BYTES - 1; i >= 0; i--) {
		out[i] = (uint8_t)(unix_s & 0xff);
		unix_s >>= 8;
	}
}

static void
make_mac(const struct nonce_key *k, const uint8_t *in,
    uint8_t out[NONCE_MAC_BYTES])
{
	uint8_t all[32];

	enc_hmac_sha256(k->bytes, NONCE_KEY_BYTES, in, NONCE_SIGNED_BYTES, all);
	memcpy(out, all, NONCE_MAC_BYTES);
}

void
nonce_make(const struct nonce_key *k, int64_t expires_unix,
    char out[NONCE_LEN + 1])
{
	uint8_t all[NONCE_BYTES];

	memcpy(all, k->id, NONCE_ID_BYTES);
	put_time(all + NONCE_ID_BYTES, expires_unix);
	rand_bytes(all + NONCE_ID_BYTES + NONCE_TIME_BYTES, NONCE_RANDOM_BYTES);
	make_mac(k, all, all + NONCE_SIGNED_BYTES);
	nonce_put(all, out);
}

/* --- text --- */

/* RFC 4648 section 5; no padding, as the length has no rest. */
void
nonce_put(const uint8_t bytes[NONCE_BYTES], char out[NONCE_LEN + 1])
{
	(void)enc_base64_put(out, bytes, NONCE_BYTES);
	out[NONCE_LEN] = '\0';
	for (int i = 0; i < NONCE_LEN; i++) {
		if (out[i] == '+')
			out[i] = '-';
		else if (out[i] == '/')
			out[i] = '_';
	}
}

static int
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -1;
}

rc
nonce_read(const char *text, uint8_t out[NONCE_BYTES])
{
	uint32_t four;
	int v;

	if (strnlen(text, NONCE_LEN + 1) != NONCE_LEN)
		return RC_INVALID;
	for (int i = 0; i < NONCE_LEN / 4; i++) {
		four = 0;
		for (int j = 0; j < 4; j++) {
			v = value_of(text[4 * i + j]);
			if (v < 0)
				return RC_INVALID;
			four = four << 6 | (uint32_t)v;
		}
		out[3 * i] = (uint8_t)(four >> 16);
		out[3 * i + 1] = (uint8_t)(four >> 8 & 0xff);
		out[3 * i + 2] = (uint8_t)(four & 0xff);
	}
	return RC_OK;
}

/* --- what was read --- */

bool
nonce_names(const uint8_t bytes[NONCE_BYTES], const struct nonce_key *k)
{
	return memcmp(k->id, bytes, NONCE_ID_BYTES) == 0;
}

bool
nonce_is_by(const uint8_t bytes[NONCE_BYTES], const struct nonce_key *k)
{
	uint8_t mac[NONCE_MAC_BYTES];

	if (!nonce_names(bytes, k))
		return false;
	make_mac(k, bytes, mac);
	return CRYPTO_memcmp(mac, bytes + NONCE_SIGNED_BYTES,
		   NONCE_MAC_BYTES) == 0;
}

int64_t
nonce_expires(const uint8_t bytes[NONCE_BYTES])
{
	int64_t t = 0;

	for (int i = 0; i < NONCE_TIME_BYTES; i++)
		t = t << 8 | bytes[NONCE_ID_BYTES + i];
	return t;
}
