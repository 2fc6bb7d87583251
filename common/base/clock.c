#include "common/base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* That many digits; -1: they are not. */
static int
number(const char **at, int digits)
{
	int n = 0;

	for (; digits > 0; digits--, ++*at) {
		if (**at < '0' || **at > '9')
			return -1;
		n = 10 * n + (**at - '0');
	}
	return n;
}

static bool
is_next(const char **at, const char *one_of)
{
	if (**at == '\0' || !strchr(one_of, **at))
		return false;
	++*at;
	return true;
}

/* Seconds east of Greenwich, up to the end of the text. */
static rc
parse_zone(const char *at, int64_t *out_s)
{
	bool is_west = *at == '-';
	int hours, minutes;

	*out_s = 0;
	if (is_next(&at, "Zz"))
		return *at == '\0' ? RC_OK : RC_INVALID;
	if (!is_next(&at, "+-"))
		return RC_INVALID;
	hours = number(&at, 2);
	if (hours < 0 || hours > 23 || !is_next(&at, ":"))
		return RC_INVALID;
	minutes = number(&at, 2);
	if (minutes < 0 || minutes > 59 || *at != '\0')
		return RC_INVALID;
	*out_s = (is_west ? -60 : 60) * ((int64_t)hours * 60 + minutes);
	return RC_OK;
}

static rc
parse_date(const char **at, struct tm *out)
{
	out->tm_year = number(at, 4) - 1900;
	if (out->tm_year < 70 || !is_next(at, "-"))
		return RC_INVALID;
	out->tm_mon = number(at, 2) - 1;
	if (out->tm_mon < 0 || out->tm_mon > 11 || !is_next(at, "-"))
		return RC_INVALID;
	out->tm_mday = number(at, 2);
	return out->tm_mday >= 1 && is_next(at, "Tt ") ? RC_OK : RC_INVALID;
}

static rc
parse_hours(const char **at, struct tm *out)
{
	out->tm_hour = number(at, 2);
	if (out->tm_hour < 0 || out->tm_hour > 23 || !is_next(at, ":"))
		return RC_INVALID;
	out->tm_min = number(at, 2);
	if (out->tm_min < 0 || out->tm_min > 59 || !is_next(at, ":"))
		return RC_INVALID;
	out->tm_sec = number(at, 2);
	if (out->tm_sec < 0 || out->tm_sec > 60) /* a leap second */
		return RC_INVALID;
	if (is_next(at, ".")) {
		if (number(at, 1) < 0)
			return RC_INVALID;
		while (**at >= '0' && **at <= '9')
			++*at;
	}
	return RC_OK;
}

rc
clock_parse_rfc3339(const char *text, int64_t *out_unix_s)
{
	struct tm tm = {0};
	int64_t east_s, at_s;
	int day;
	rc ret;

	ret = parse_date(&text, &tm);
	if (ret == RC_OK)
		ret = parse_hours(&text, &tm);
	if (ret == RC_OK)
		ret = parse_zone(text, &east_s);
	if (ret != RC_OK)
		return ret;
	day = tm.tm_mday;
	if (tm.tm_sec == 60)
		tm.tm_sec = 59;
	at_s = (int64_t)timegm(&tm);
	if (tm.tm_mday != day) /* the 31st of a month that has none */
		return RC_INVALID;
	*out_unix_s = at_s - east_s;
	return RC_OK;
}

void
clock_set_fake(int64_t boot_ms, int64_t wall_us)
{
	fake = boot_ms >= 0;
	fake_boot_ms = boot_ms;
	fake_wall_us = wall_us;
}
