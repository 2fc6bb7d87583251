#include "common/base/rand.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

enum {
	/* Up to so many bytes come out of those that were drawn ahead. */
	FEW = 32,
	AHEAD = 1024,
};

/* nanoseconds (20), counter (10), two dashes and the NUL leave this much */
#define RAND_ID_PREFIX_MAX 31

static void
draw(unsigned char *p, size_t len)
{
	size_t n;

	while (len > 0) {
		n = len > 65536 ? 65536 : len;
		if (RAND_bytes(p, (int)n) != 1) {
			(void)fputs("certctl: no random numbers\n", stderr);
			abort();
		}
		p += n;
		len -= n;
	}
}

/*
 * One question to the generator costs as much for 16 bytes as for some
 * hundred: about the rest of a small request.  Nobody here forks and goes on
 * without exec, which would hand the same bytes out twice.
 */
static void
take_few(void *out, size_t len)
{
	static _Thread_local unsigned char pool[AHEAD];
	static _Thread_local size_t left;

	if (left < len) {
		draw(pool, sizeof(pool));
		left = sizeof(pool);
	}
	left -= len;
	memcpy(out, pool + left, len);
	mem_wipe(pool + left, len); /* it may be a key */
}

void
rand_bytes(void *out, size_t len)
{
	if (len <= FEW)
		take_few(out, len);
	else
		draw(out, len);
}

uint32_t
rand_below(uint32_t bound)
{
	uint32_t x, least;

	assert(bound > 0);
	/* the first 2^32 mod bound values would favour small results */
	least = (0U - bound) % bound;
	do
		rand_bytes(&x, sizeof(x));
	while (x < least);
	return x % bound;
}

int64_t
rand_jitter(int64_t value, unsigned percent)
{
	int64_t size = value < 0 ? -(value + 1) : value;
	int64_t span;
	uint64_t x;

	if (percent > 100)
		percent = 100;
	span =
	    size / 100 * (int64_t)percent + size % 100 * (int64_t)percent / 100;
	if (value > INT64_MAX - span || value < INT64_MIN + span)
		return value;
	rand_bytes(&x, sizeof(x));
	x %= 2 * (uint64_t)span + 1;
	return (int64_t)((uint64_t)value - (uint64_t)span + x);
}

void
rand_id(const char *prefix, char out[64])
{
	static atomic_uint counter;
	static atomic_bool started;
	uint32_t first, number;
	int64_t ns = clock_wall_us() * 1000;

	assert(strlen(prefix) <= RAND_ID_PREFIX_MAX);
	/* Two threads may both start it: the numbers stay unpredictable. */
	if (!atomic_load(&started)) {
		rand_bytes(&first, sizeof(first));
		atomic_fetch_add(&counter, first);
		atomic_store(&started, true);
	}
	number = atomic_fetch_add(&counter, 1U);
	(void)snprintf(out, 64, "%.*s-%lld-%u", RAND_ID_PREFIX_MAX, prefix,
	    (long long)ns, number);
}

void
rand_uuid(char out[37])
{
	uint8_t b[16];

	rand_bytes(b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* version 4 */
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80); /* variant of RFC 9562 */
	(void)snprintf(out, 37,
	    "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
	    "%02x%02x%02x%02x%02x%02x",
	    b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10],
	    b[11], b[12], b[13], b[14], b[15]);
}
