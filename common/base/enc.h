/*
 * enc: hex, base64 and strict number parsing.
 */
#ifndef COMMON_BASE_ENC_H
#define COMMON_BASE_ENC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

/* out holds 2 * len + 1 bytes; lower case, NUL-terminated. */
void enc_hex(const uint8_t *in, size_t len, char *out);
/* 0..15, or -1 for anything but a hex digit; either case. */
int enc_hex_value(char c);
/* RC_INVALID unless exactly 2 * len hex digits; either case. */
rc enc_unhex(const char *hex, uint8_t *out, size_t len) MUST_CHECK;
/* Whether these len characters are what enc_hex writes. */
bool enc_is_lower_hex(const char *s, size_t len);
/* Standard alphabet with padding. */
char *enc_base64(struct arena *a, const uint8_t *in, size_t len);
/* The same at out, without a NUL: 4 bytes for every 3 begun.  Its end. */
char *enc_base64_put(char *out, const uint8_t *in, size_t len);
/* RC_INVALID for anything enc_base64 would not have written. */
rc enc_unbase64(struct arena *a, const char *in, size_t len, uint8_t **out,
    size_t *out_len) MUST_CHECK;
/* The same, with white space anywhere between the characters. */
rc enc_unbase64_lines(struct arena *a, const char *in, size_t len,
    uint8_t **out, size_t *out_len) MUST_CHECK;
/* The alphabet for URLs, without padding (RFC 4648 section 5). */
char *enc_base64url(struct arena *a, const uint8_t *in, size_t len);
/* RC_INVALID for anything enc_base64url would not have written. */
rc enc_unbase64url(struct arena *a, const char *in, size_t len, uint8_t **out,
    size_t *out_len) MUST_CHECK;
/* The whole string, decimal, within [min, max]; RC_INVALID otherwise. */
rc enc_parse_i64(const char *s, int64_t min, int64_t max,
    int64_t *out) MUST_CHECK;
/* "1h30m", "250ms", "2s": number and unit pairs; RC_INVALID otherwise. */
rc enc_parse_duration_ms(const char *s, int64_t *out_ms) MUST_CHECK;
/* The number in decimal, somewhere in out. */
const char *enc_put_u64(uint64_t value, char out[24]);
/* HMAC-SHA-256 (RFC 2104); out holds 32 bytes. */
void enc_hmac_sha256(const void *key, size_t key_len, const void *in,
    size_t len, uint8_t out[32]);
/* Lower-case hex SHA-256; out holds 65 bytes. */
void enc_sha256_hex(const void *in, size_t len, char out[65]);
/* Equal in time that depends on the lengths only. */
bool enc_equal_ct(const char *a, const char *b);
/* Valid UTF-8 without NUL, surrogates or overlong forms (RFC 3629). */
bool enc_is_utf8(const char *s, size_t len);

#endif
