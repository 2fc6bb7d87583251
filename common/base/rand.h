/*
 * rand: unpredictable bytes (OpenSSL's generator) and text ids.
 */
#ifndef COMMON_BASE_RAND_H
#define COMMON_BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

/* A failure of the generator ends the process. */
void rand_bytes(void *out, size_t len);
/* Uniform in [0, bound); bound > 0. */
uint32_t rand_below(uint32_t bound);
/* value moved by a random share of at most +-percent. */
int64_t rand_jitter(int64_t value, unsigned percent);
/*
 * "<prefix>-<unix nanoseconds>-<counter>", the form of the REST contract; the
 * counter starts at a random number so that two processes never agree.
 * out holds 64 bytes.
 */
void rand_id(const char *prefix, char out[64]);
/* A random UUID (RFC 9562 version 4); out holds 37 bytes. */
void rand_uuid(char out[37]);

#endif
