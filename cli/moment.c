#include "cli/moment.h"

#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "common/base/clock.h"
#include "common/json/json.h"

enum { MINUTE = 60, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

bool
moment_is_never(const char *text)
{
	static const char never[] = "0001-01-01T00:00:00";

	return strncmp(text, never, sizeof(never) - 1) == 0;
}

bool
moment_read(const struct cJSON *object, const char *name, int64_t *out_unix)
{
	const struct cJSON *v = json_get(object, name);
	struct tm tm = {0};

	if (!cJSON_IsString(v) ||
	    !strptime(v->valuestring, "%Y-%m-%dT%H:%M:%S", &tm) ||
	    tm.tm_year < 100)
		return false; /* year 1 is how the API says "never" */
	*out_unix = timegm(&tm);
	return true;
}

const char *
moment_given(struct arena *a, const char *text)
{
	enum { DATE_LEN = 10, SECOND_AT = 17 };
	int64_t at;
	char *out;

	out = arena_printf(a, "%s%s", text,
	    strlen(text) == DATE_LEN ? "T00:00:00Z" : "");
	if (clock_parse_rfc3339(out, &at) != RC_OK ||
	    strncmp(out + SECOND_AT, "60", 2) == 0)
		return NULL; /* the API knows no leap second */
	out[DATE_LEN] = 'T';
	return out;
}

const char *
moment_text(struct arena *a, int64_t unix_s)
{
	time_t at = (time_t)unix_s;
	char text[32];
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	return arena_strdup(a, text);
}

const char *
moment_span(struct arena *a, int64_t s)
{
	if (s >= DAY)
		return arena_printf(a, "%lld d %lld h", (long long)(s / DAY),
		    (long long)(s % DAY / HOUR));
	if (s >= HOUR)
		return arena_printf(a, "%lld h %lld min", (long long)(s / HOUR),
		    (long long)(s % HOUR / MINUTE));
	if (s >= MINUTE)
		return arena_printf(a, "%lld min %lld s",
		    (long long)(s / MINUTE), (long long)(s % MINUTE));
	return arena_printf(a, "%lld s", (long long)s);
}

const char *
moment_about(struct arena *a, double s)
{
	if (s < 100)
		return arena_printf(a, "%.1f s", s);
	if (s < 100 * MINUTE)
		return arena_printf(a, "%.0f min", s / MINUTE);
	if (s < 2 * DAY)
		return arena_printf(a, "%.0f h", s / HOUR);
	return arena_printf(a, "%.0f d", s / DAY);
}

const char *
moment_left(struct arena *a, int64_t s)
{
	if (s <= 0)
		return "expired";
	if (s >= 2 * DAY)
		return arena_printf(a, "%lld d", (long long)(s / DAY));
	if (s >= 2 * HOUR)
		return arena_printf(a, "%lld h", (long long)(s / HOUR));
	return arena_printf(a, "%lld min",
	    (long long)((s + MINUTE - 1) / MINUTE));
}
