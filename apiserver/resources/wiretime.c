#include "apiserver/resources/wiretime.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "common/base/clock.h"

#define WIRETIME_LAST "9999-12-31T23:59:59Z" /* that has no end */

/* n digits at *p; -1 when there are not as many. */
static int
take_digits(const char **p, int n)
{
	int value = 0;

	for (; n > 0; n--, (*p)++) {
		if (!isdigit((unsigned char)**p))
			return -1;
		value = value * 10 + (**p - '0');
	}
	return value;
}

static bool
take_char(const char **p, const char *any_of)
{
	if (**p == '\0' || strchr(any_of, **p) == NULL)
		return false;
	(*p)++;
	return true;
}

static int
days_in(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30,
	    31};
	bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && is_leap ? 29 : days[month - 1];
}

static bool
take_date(const char **p)
{
	int year, month, day;

	year = take_digits(p, 4);
	if (year < 1 || !take_char(p, "-"))
		return false;
	month = take_digits(p, 2);
	if (month < 1 || month > 12 || !take_char(p, "-"))
		return false;
	day = take_digits(p, 2);
	return day >= 1 && day <= days_in(year, month);
}

/* hh:mm, of a time of day or an offset. */
static bool
take_hours(const char **p, int last_hour)
{
	int hour, minute;

	hour = take_digits(p, 2);
	if (hour < 0 || hour > last_hour || !take_char(p, ":"))
		return false;
	minute = take_digits(p, 2);
	return minute >= 0 && minute <= 59;
}

static bool
take_fraction(const char **p)
{
	int n;

	if (!take_char(p, "."))
		return true;
	for (n = 0; isdigit((unsigned char)**p); (*p)++)
		n++;
	return n >= 1 && n <= 9;
}

bool
wiretime_is_valid(const char *text, bool may_be_date)
{
	const char *p = text;
	int second;

	if (!take_date(&p))
		return false;
	if (*p == '\0')
		return may_be_date;
	if (!take_char(&p, "Tt") || !take_hours(&p, 23) || !take_char(&p, ":"))
		return false;
	second = take_digits(&p, 2);
	if (second < 0 || second > 59 || !take_fraction(&p))
		return false;
	if (take_char(&p, "Zz"))
		return *p == '\0';
	/* PostgreSQL knows no offset of 16 hours, nor has anybody one of 15. */
	return take_char(&p, "+-") && take_hours(&p, 15) && *p == '\0';
}

void
wiretime_text(const char *text, char *out)
{
	size_t len = strlen(text);

	if (strcmp(text, "infinity") == 0) {
		memcpy(out, WIRETIME_LAST, sizeof(WIRETIME_LAST));
		return;
	}
	if (len < 19 || len + 2 > WIRETIME_SIZE || text[0] == '-') {
		memcpy(out, WIRETIME_ZERO, sizeof(WIRETIME_ZERO));
		return;
	}
	memcpy(out, text, len);
	out[10] = 'T';
	out[len] = 'Z';
	out[len + 1] = '\0';
}

void
wiretime_put(struct json_w *w, const char *text)
{
	char out[WIRETIME_SIZE];

	wiretime_text(text, out);
	json_w_str(w, out);
}

void
wiretime_kv_us(struct json_w *w, const char *key, int64_t wall_us)
{
	char out[32], *end;

	clock_format_rfc3339(wall_us, out); /* "...:01.500Z" */
	end = out + strlen(out) - 2;
	while (*end == '0')
		end--;
	if (*end != '.')
		end++;
	memcpy(end, "Z", 2);
	json_w_kv(w, key, out);
}
