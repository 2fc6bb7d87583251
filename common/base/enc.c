#include "common/base/enc.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
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

int
enc_hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
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

char *
enc_base64(struct arena *a, const uint8_t *in, size_t len)
{
	char *out = arena_alloc(a, (len + 2) / 3 * 4 + 1);
	char *p = out;
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
	*p = '\0';
	return out;
}

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

rc
enc_unbase64(struct arena *a, const char *in, size_t len, uint8_t **out,
    size_t *out_len)
{
	uint8_t *bytes, *p;
	size_t pad = 0;
	uint32_t v = 0;
	int digit;

	if (len % 4 != 0)
		return RC_INVALID;
	while (pad < 2 && pad < len && in[len - 1 - pad] == '=')
		pad++;
	p = bytes = arena_alloc(a, len / 4 * 3 + 1);
	for (size_t i = 0; i < len; i++) {
		digit = i < len - pad ? base64_value(in[i]) : 0;
		if (digit < 0)
			return RC_INVALID;
		v = v << 6 | (uint32_t)digit;
		if (i % 4 == 3) {
			*p++ = (uint8_t)(v >> 16);
			*p++ = (uint8_t)(v >> 8);
			*p++ = (uint8_t)v;
			/* bits under the padding: one value, one text */
			if (i + 1 == len &&
			    ((pad == 1 && (v & 0xff) != 0) ||
				(pad == 2 && (v & 0xffff) != 0)))
				return RC_INVALID;
			v = 0;
		}
	}
	*out = bytes;
	*out_len = len / 4 * 3 - pad;
	return RC_OK;
}

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
	rc code;

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
			code = parse_fraction(&s, &num, &den);
			if (code != RC_OK)
				return code;
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

void
enc_sha256_hex(const void *in, size_t len, char out[65])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	if (SHA256(in, len, digest) == NULL)
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
