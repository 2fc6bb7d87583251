/*
 * clock: the two clocks of a process.
 *
 * Durations and local trust use the boot clock, which counts through a
 * suspend and a SIGSTOP; the wall clock is for logs and certificates only.
 * The database's clock judges leases, not these.
 */
#ifndef COMMON_BASE_CLOCK_H
#define COMMON_BASE_CLOCK_H

#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

/* CLOCK_BOOTTIME, milliseconds. */
int64_t clock_boot_ms(void);
/* The same, microseconds. */
int64_t clock_boot_us(void);
/* CLOCK_REALTIME, microseconds since 1970. */
int64_t clock_wall_us(void);
/* RFC 3339 UTC with milliseconds; out holds 32 bytes. */
void clock_format_rfc3339(int64_t wall_us, char out[32]);
/* A time of RFC 3339, years 1970 to 9999, as Unix seconds; a part of a second
 * is dropped.  RC_INVALID: it is none. */
rc clock_parse_rfc3339(const char *text, int64_t *out_unix_s) MUST_CHECK;
/* Tests only: freeze both clocks at these values; boot_ms < 0 ends it. */
void clock_set_fake(int64_t boot_ms, int64_t wall_us);

#endif
