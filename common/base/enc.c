#include "common/base/enc.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/sha.h>

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
enc_hex(const uint8_t *in, size_t len, char *out)
{
	for (size_t i = 0; i < len; i++) {
		out[2 * i] = hex_digits[in[i] >> 4];
		out[2 * i + 1] = hex_digits[in[i] & 15];
	}
	out[2 * len] = '\0';
}

/* What each octet means, plus one. */
static const uint8_t hex_meanings[256] = {
    ['0'] = 1,
    ['1'] = 2,
    ['2'] = 3,
    ['3'] = 4,
    ['4'] = 5,
    ['5'] = 6,
    ['6'] = 7,
    ['7'] = 8,
    ['8'] = 9,
    ['9'] = 10,
    ['a'] = 11,
    ['b'] = 12,
    ['c'] = 13,
    ['d'] = 14,
    ['e'] = 15,
    ['f'] = 16,
    ['A'] = 11,
    ['B'] = 12,
    ['C'] = 13,
    ['D'] = 14,
    ['E'] = 15,
    ['F'] = 16,
};

int
enc_hex_value(char c)
{
	return hex_meanings[(uint8_t)c] - 1;
}

rc
enc_unhex(const char *hex, uint8_t *out, size_t len)
{
	int high, low;

	if (strnlen(hex, 2 * len + 1) != 2 * len)
		return RC_INVALID;
	for (size_t i = 0; i < len; i++) {
		high = enc_hex_value(hex[2 * i]);
		low = enc_hex_value(hex[2 * i + 1]);
		if (high < 0 || low < 0)
			return RC_INVALID;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return RC_OK;
}

/* --- base64 --- */

enum { BASE64_BAD, BASE64_PAD = 65, BASE64_SPACE };

/* What each octet means, digits by their value plus one. */
static const uint8_t *
base64_meanings(void)
{
	static uint8_t table[256];

	if (table['='] == BASE64_PAD)
		return table;
	for (uint8_t i = 0; i < 64; i++)
		table[(uint8_t)base64_digits[i]] = (uint8_t)(i + 1);
	table[' '] = table['\t'] = table['\r'] = table['\n'] = BASE64_SPACE;
	table['='] = BASE64_PAD;
	return table;
}

char *
enc_base64_put(char *p, const uint8_t *in, size_t len)
{
	uint32_t v;

	for (; len >= 3; len -= 3, in += 3) {
		v = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
		*p++ = base64_digits[v >> 18];
		*p++ = base64_digits[v >> 12 & 63];
		*p++ = base64_digits[v >> 6 & 63];
		*p++ = base64_digits[v & 63];
	}
	if (len > 0) {
		v = (uint32_t)in[0] << 16;
		if (len == 2)
			v |= (uint32_t)in[1] << 8;
		*p++ = base64_digits[v >> 18];
		*p++ = base64_digits[v >> 12 & 63];
		*p++ = len == 2 ? base64_digits[v >> 6 & 63] : '=';
		*p++ = '=';
	}
	return p;
}

bool
enc_is_lower_hex(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!(s[i] >= '0' && s[i] <= '9') &&
		    !(s[i] >= 'a' && s[i] <= 'f'))
			return false;
	}
	return true;
}

char *
enc_base64(struct arena *a, const uint8_t *in, size_t len)
{
	char *out = arena_alloc(a, (len + 2) / 3 * 4 + 1);

	*enc_base64_put(out, in, len) = '\0';
	return out;
}

/* Four characters at a time; padding, checked, only at the very end. */
static rc
unbase64(struct arena *a, const char *in, size_t len, bool may_have_spaces,
    uint8_t **out, size_t *out_len)
{
	const uint8_t *meanings = base64_meanings();
	uint8_t *bytes = arena_alloc(a, len / 4 * 3 + 4), *p = bytes;
	unsigned n = 0, pads = 0;
	uint32_t group = 0;

	for (size_t i = 0; i < len; i++) {
		uint8_t m = meanings[(uint8_t)in[i]];

		if (m == BASE64_SPACE && may_have_spaces)
			continue;
		if (pads > 0 && n == 0)
			return RC_INVALID; /* more after the padded end */
		if (m == BASE64_PAD && n >= 2) {
			pads++;
			m = 1;
		} else if (m == BASE64_BAD || m >= BASE64_PAD || pads > 0) {
			return RC_INVALID;
		}
		group = group << 6 | (uint32_t)(m - 1);
		if (++n < 4)
			continue;
		*p++ = (uint8_t)(group >> 16);
		*p++ = (uint8_t)(group >> 8);
		*p++ = (uint8_t)group;
		n = 0;
		group = 0;
	}
	/* Bits under the padding are zero: one value, one text. */
	for (unsigned i = 0; i < pads && n == 0; i++) {
		if (*--p != 0)
			return RC_INVALID;
	}
	if (n != 0)
		return RC_INVALID;
	*out = bytes;
	*out_len = (size_t)(p - bytes);
	return RC_OK;
}

rc
enc_unbase64(struct arena *a, const char *in, size_t len, uint8_t **out,
    size_t *out_len)
{
	return unbase64(a, in, len, false, out, out_len);
}

rc
enc_unbase64_lines(struct arena *a, const char *in, size_t len, uint8_t **out,
    size_t *out_len)
{
	return unbase64(a, in, len, true, out, out_len);
}

/* --- base64url --- */

char *
enc_base64url(struct arena *a, const uint8_t *in, size_t len)
{
	char *out = enc_base64(a, in, len);

	for (char *p = out; *p != '\0'; p++) {
		if (*p == '+')
			*p = '-';
		else if (*p == '/')
			*p = '_';
	}
	out[strcspn(out, "=")] = '\0';
	return out;
}

/* The value of a digit, -1 for anything else. */
static int
base64url_value(char c)
{
	uint8_t m;

	if (c == '-')
		return 62;
	if (c == '_')
		return 63;
	m = c == '+' || c == '/' ? 0 : base64_meanings()[(uint8_t)c];
	return m == BASE64_BAD || m >= BASE64_PAD ? -1 : m - 1;
}

rc
enc_unbase64url(struct arena *a, const char *in, size_t len, uint8_t **out,
    size_t *out_len)
{
	uint8_t *bytes = arena_alloc(a, len / 4 * 3 + 4), *p = bytes;
	unsigned bits = 0; /* of group that are not written yet */
	uint32_t group = 0;
	int value;

	if (len % 4 == 1)
		return RC_INVALID;
	for (size_t i = 0; i < len; i++) {
		value = base64url_value(in[i]);
		if (value < 0)
			return RC_INVALID;
		group = group << 6 | (uint32_t)value;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*p++ = (uint8_t)(group >> bits);
		}
	}
	/* Bits left over are zero: one value, one text. */
	if ((group & ((1U << bits) - 1)) != 0)
		return RC_INVALID;
	*out = bytes;
	*out_len = (size_t)(p - bytes);
	return RC_OK;
}

/* --- numbers --- */

rc
enc_parse_i64(const char *s, int64_t min, int64_t max, int64_t *out)
{
	bool negative = *s == '-';
	int64_t value = 0;

	if (negative)
		s++;
	if (*s == '\0')
		return RC_INVALID;
	/* Downwards for both signs: INT64_MIN has no positive twin. */
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return RC_INVALID;
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_sub_overflow(value, *s - '0', &value))
			return RC_INVALID;
	}
	if (!negative) {
		if (value == INT64_MIN)
			return RC_INVALID;
		value = -value;
	}
	if (value < min || value > max)
		return RC_INVALID;
	*out = value;
	return RC_OK;
}

struct unit {
	const char *name;
	int64_t ms;
};

/* "ms" before "m": the first match wins */
static const struct unit units[] = {
    {"ms", 1},
    {"h", 3600 * 1000},
    {"m", 60 * 1000},
    {"s", 1000},
};

static const struct unit *
unit_at(const char *s)
{
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strncmp(s, units[i].name, strlen(units[i].name)) == 0)
			return &units[i];
	}
	return NULL;
}

/* Digits after the point, as a share of one unit; moves *s past them. */
static rc
parse_fraction(const char **s, int64_t *out_num, int64_t *out_den)
{
	int64_t num = 0, den = 1;

	if (**s < '0' || **s > '9')
		return RC_INVALID;
	for (; **s >= '0' && **s <= '9'; (*s)++) {
		if (den >= 1000000000)
			return RC_INVALID;
		num = num * 10 + (**s - '0');
		den *= 10;
	}
	*out_num = num;
	*out_den = den;
	return RC_OK;
}

rc
enc_parse_duration_ms(const char *s, int64_t *out_ms)
{
	int64_t total = 0, whole, num, den, part;
	const struct unit *unit;
	rc ret;

	if (strcmp(s, "0") == 0) {
		*out_ms = 0;
		return RC_OK;
	}
	if (*s == '\0')
		return RC_INVALID;
	while (*s != '\0') {
		if (*s < '0' || *s > '9')
			return RC_INVALID;
		for (whole = 0; *s >= '0' && *s <= '9'; s++) {
			if (__builtin_mul_overflow(whole, 10, &whole) ||
			    __builtin_add_overflow(whole, *s - '0', &whole))
				return RC_INVALID;
		}
		num = 0;
		den = 1;
		if (*s == '.') {
			s++;
			ret = parse_fraction(&s, &num, &den);
			if (ret != RC_OK)
				return ret;
		}
		unit = unit_at(s);
		/* less than a millisecond would be dropped: refuse it */
		if (unit == NULL || num * unit->ms % den != 0)
			return RC_INVALID;
		s += strlen(unit->name);
		if (__builtin_mul_overflow(whole, unit->ms, &part) ||
		    __builtin_add_overflow(total, part, &total) ||
		    __builtin_add_overflow(total, num * unit->ms / den, &total))
			return RC_INVALID;
	}
	*out_ms = total;
	return RC_OK;
}

static EVP_MD *sha256;

static void
fetch_sha256(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

const char *
enc_put_u64(uint64_t value, char out[24])
{
	char *p = out + 23;

	*p = '\0';
	do {
		*--p = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	return p;
}

/* As below: HMAC() makes all of this anew, in four times the time. */
static EVP_MAC_CTX *
new_hmac_sha256(void)
{
	char digest[] = "SHA256";
	const OSSL_PARAM params[] =
	    {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end()};
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = hmac ? EVP_MAC_CTX_new(hmac) : NULL;

	EVP_MAC_free(hmac); /* ctx holds it */
	if (ctx == NULL || EVP_MAC_CTX_set_params(ctx, params) != 1)
		abort(); /* only without a working libcrypto */
	return ctx;
}

void
enc_hmac_sha256(const void *key, size_t key_len, const void *in, size_t len,
    uint8_t out[32])
{
	static _Thread_local EVP_MAC_CTX *ctx;
	size_t n = 0;

	assert(key != NULL); /* else that of the call before */
	if (ctx == NULL)
		ctx = new_hmac_sha256();
	if (EVP_MAC_init(ctx, key, key_len, NULL) != 1 ||
	    EVP_MAC_update(ctx, in, len) != 1 ||
	    EVP_MAC_final(ctx, out, &n, 32) != 1 || n != 32)
		abort();
}

/* Fetched once: SHA256() looks for an implementation at each call, which takes
 * longer than the digest of a key. */
void
enc_sha256_hex(const void *in, size_t len, char out[65])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	uint8_t digest[SHA256_DIGEST_LENGTH];

	if (pthread_once(&once, fetch_sha256) != 0 || sha256 == NULL ||
	    EVP_Digest(in, len, digest, NULL, sha256, NULL) != 1)
		abort(); /* only without a working libcrypto */
	enc_hex(digest, sizeof(digest), out);
}

bool
enc_equal_ct(const char *a, const char *b)
{
	size_t len = strlen(a);

	return len == strlen(b) && CRYPTO_memcmp(a, b, len) == 0;
}

/* Bytes of the character at s, 0 when it is not one (RFC 3629). */
static size_t
utf8_len(const uint8_t *s, size_t left)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t n;

	if (s[0] < 0x80)
		return s[0] != 0 ? 1 : 0;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (n > left)
		return 0;
	/* the second byte is where overlong forms and surrogates show */
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

bool
enc_is_utf8(const char *s, size_t len)
{
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		n = utf8_len((const uint8_t *)s + i, len - i);
		if (n == 0)
			return false;
	}
	return true;
}
