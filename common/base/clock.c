#include "common/base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static bool fake;
static int64_t fake_boot_ms;
static int64_t fake_wall_us;

static struct timespec
clock_read(clockid_t id)
{
	struct timespec ts;

	/* Cannot fail for these clocks on Linux. */
	if (clock_gettime(id, &ts) != 0)
		abort();
	return ts;
}

int64_t
clock_boot_us(void)
{
	struct timespec ts;

	if (fake)
		return fake_boot_ms * 1000;
	ts = clock_read(CLOCK_BOOTTIME);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_boot_ms(void)
{
	return clock_boot_us() / 1000;
}

int64_t
clock_wall_us(void)
{
	struct timespec ts;

	if (fake)
		return fake_wall_us;
	ts = clock_read(CLOCK_REALTIME);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void
clock_format_rfc3339(int64_t wall_us, char out[32])
{
	int64_t ms = wall_us / 1000 - (wall_us % 1000 < 0 ? 1 : 0);
	int64_t part = ms % 1000;
	time_t sec;
	struct tm tm;
	char text[80];

	if (part < 0)
		part += 1000;
	sec = (time_t)((ms - part) / 1000);
	if (gmtime_r(&sec, &tm) == NULL) {
		(void)snprintf(out, 32, "%s", "0000-00-00T00:00:00.000Z");
		return;
	}
	(void)snprintf(text, sizeof(text),
	    "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
	    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
	    (int)part);
	(void)snprintf(out, 32, "%.31s", text);
}

void
clock_set_fake(int64_t boot_ms, int64_t wall_us)
{
	fake = boot_ms >= 0;
	fake_boot_ms = boot_ms;
	fake_wall_us = wall_us;
}
