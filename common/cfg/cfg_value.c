#include "common/cfg/cfg_value.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/base/plain.h"

static const struct {
	const char *name;
	int64_t bytes;
} size_units[] = {
    {"TiB", (int64_t)1 << 40},
    {"GiB", (int64_t)1 << 30},
    {"MiB", (int64_t)1 << 20},
    {"KiB", (int64_t)1 << 10},
    {"B", 1},
};

static const char *const truths[] = {"true", "yes", "on", "1"};
static const char *const untruths[] = {"false", "no", "off", "0"};

static bool
is_one_of(const char *text, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(text, words[i]) == 0)
			return true;
	}
	return false;
}

static rc
parse_bool(const char *text, bool *out)
{
	if (is_one_of(text, truths, ARRAY_LEN(truths))) {
		*out = true;
		return RC_OK;
	}
	if (is_one_of(text, untruths, ARRAY_LEN(untruths))) {
		*out = false;
		return RC_OK;
	}
	return RC_INVALID;
}

/* "12" or "0.5", to thousandths. */
static rc
parse_decimal(const char *text, int64_t min, int64_t max, int64_t *out)
{
	size_t whole = strspn(text, "0123456789"), decimals = 0;
	int64_t value = 0;

	if (whole == 0 || whole > 15)
		return RC_INVALID;
	if (text[whole] == '.') {
		decimals = strspn(text + whole + 1, "0123456789");
		if (decimals < 1 || decimals > 3)
			return RC_INVALID;
	}
	if (text[whole + (decimals ? 1 + decimals : 0)] != '\0')
		return RC_INVALID;
	for (size_t i = 0; i < whole; i++)
		value = value * 10 + (text[i] - '0');
	for (size_t i = 1; i <= 3; i++)
		value =
		    value * 10 + (i <= decimals ? text[whole + i] - '0' : 0);
	if (value < min || value > max)
		return RC_INVALID;
	*out = value;
	return RC_OK;
}

static rc
parse_size(const char *text, int64_t min, int64_t max, int64_t *out)
{
	size_t digits = strspn(text, "0123456789");
	int64_t unit = digits == strlen(text) ? 1 : 0;
	char number[24];
	int64_t value;
	rc ret;

	if (digits == 0 || digits >= sizeof(number))
		return RC_INVALID;
	for (size_t i = 0; i < ARRAY_LEN(size_units); i++) {
		if (strcmp(text + digits, size_units[i].name) == 0)
			unit = size_units[i].bytes;
	}
	memcpy(number, text, digits);
	number[digits] = '\0';
	ret = enc_parse_i64(number, 0, INT64_MAX, &value);
	if (ret != RC_OK)
		return ret;
	if (unit == 0 || __builtin_mul_overflow(value, unit, &value) ||
	    value < min || value > max)
		return RC_INVALID;
	*out = value;
	return RC_OK;
}

static rc
parse_duration(const char *text, int64_t min, int64_t max, int64_t *out)
{
	int64_t ms;
	rc ret;

	ret = enc_parse_duration_ms(text, &ms);
	if (ret != RC_OK)
		return ret;
	if (ms < min || ms > max)
		return RC_INVALID;
	*out = ms;
	return RC_OK;
}

/* One of the words of "a|b|c", spelled as there. */
static rc
parse_enum(const char *choices, const char *text)
{
	size_t len = strlen(text);
	size_t n;

	while (*choices != '\0') {
		n = strcspn(choices, "|");
		if (n == len && strncmp(choices, text, n) == 0)
			return RC_OK;
		choices += n + (choices[n] == '|' ? 1 : 0);
	}
	return RC_INVALID;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Text without control characters; they are mistakes in a name or address. */
static bool
is_clean(const char *text)
{
	if (!enc_is_utf8(text, strlen(text)))
		return false;
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < ' ' && *text != '\t')
			return false;
		if (*text == 0x7f)
			return false;
	}
	return true;
}

static rc
parse_list(const struct cfg_key *key, const char *text, struct cfg_value *v)
{
	const char *end, *last;
	size_t n = 0;

	/* commas + 1 items at most, and the NULL */
	for (const char *p = text; *p != '\0'; p++)
		n += *p == ',' ? 1 : 0;
	v->list = mem_zalloc((n + 2) * sizeof(v->list[0]));
	n = 0;
	for (;; text = end + 1) {
		end = text + strcspn(text, ",");
		last = end;
		while (text < last && is_blank(*text))
			text++;
		while (last > text && is_blank(last[-1]))
			last--;
		if (last > text)
			v->list[n++] = mem_strndup(text, (size_t)(last - text));
		if (*end == '\0')
			break;
	}
	if ((int64_t)n < key->min || (int64_t)n > key->max ||
	    !is_clean(v->text))
		return RC_INVALID;
	if ((key->flags & CFG_SECRET) == 0 && !plain_is_text(v->text))
		return RC_INVALID;
	return RC_OK;
}

/* Names go to tables and logs, and what can't be seen in a URL or a path is a
 * mistake.  A secret may be anything, a PEM text too. */
static rc
parse_text(const struct cfg_key *key, const char *text)
{
	size_t len = strlen(text);

	if ((int64_t)len < key->min || (int64_t)len > key->max)
		return RC_INVALID;
	if (!enc_is_utf8(text, len))
		return RC_INVALID;
	if ((key->flags & CFG_SECRET) == 0)
		return plain_is_line(text) ? RC_OK : RC_INVALID;
	for (; *text != '\0'; text++) {
		if (*text != '\n' &&
		    ((unsigned char)*text < ' ' || *text == 0x7f))
			return RC_INVALID;
	}
	return RC_OK;
}

/* What "-" begins with, a command line would take for an option. */
static rc
parse_name(const struct cfg_key *key, const char *text)
{
	rc ret = parse_text(key, text);

	if (ret != RC_OK || text[0] == '\0')
		return ret;
	return text[0] == '-' || plain_is_blank(text) ? RC_INVALID : RC_OK;
}

static rc
parse_id(const struct cfg_key *key, const char *text)
{
	rc ret = parse_text(key, text);

	if (ret != RC_OK || text[0] == '\0')
		return ret;
	if (text[0] == '-' || text[0] == '.' ||
	    text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			      "abcdefghijklmnopqrstuvwxyz0123456789._-")])
		return RC_INVALID;
	return RC_OK;
}

rc
cfg_value_parse(const struct cfg_key *key, const char *text,
    struct cfg_value *v)
{
	v->text = mem_strdup(text);
	switch (key->type) {
	case CFG_STRING:
	case CFG_PATH:
		return parse_text(key, text);
	case CFG_NAME:
		return parse_name(key, text);
	case CFG_ID:
		return parse_id(key, text);
	case CFG_INT:
		return enc_parse_i64(text, key->min, key->max, &v->number);
	case CFG_DECIMAL:
		return parse_decimal(text, key->min, key->max, &v->number);
	case CFG_BOOL:
		return parse_bool(text, &v->truth);
	case CFG_DURATION:
		return parse_duration(text, key->min, key->max, &v->number);
	case CFG_SIZE:
		return parse_size(text, key->min, key->max, &v->number);
	case CFG_ENUM:
		return parse_enum(key->dflt, text);
	case CFG_LIST:
		return parse_list(key, text, v);
	}
	abort(); /* a type that is not in the enum is our bug */
}

static void
wipe_free(char *s)
{
	if (s != NULL)
		mem_wipe(s, strlen(s));
	free(s);
}

void
cfg_value_fini(struct cfg_value *v)
{
	wipe_free(v->text);
	for (size_t i = 0; v->list != NULL && v->list[i] != NULL; i++)
		wipe_free(v->list[i]);
	free(v->list);
	memset(v, 0, sizeof(*v));
}

const char *
cfg_value_default(const struct cfg_key *key, struct buf *scratch)
{
	size_t len = strlen(key->dflt);

	buf_reset(scratch);
	if (key->type == CFG_ENUM)
		len = strcspn(key->dflt, "|");
	buf_add(scratch, key->dflt, len);
	return buf_cstr(scratch);
}

/* 5400000 as "1h30m" */
static void
put_duration(struct buf *b, int64_t ms)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

	if (ms <= 0) {
		buf_puts(b, "0");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (ms / units[i].ms > 0)
			buf_printf(b, "%lld%s", (long long)(ms / units[i].ms),
			    units[i].name);
		ms %= units[i].ms;
	}
}

static void
put_decimal(struct buf *b, int64_t thousandths)
{
	int rest = (int)(thousandths % 1000), digits = 3;

	buf_printf(b, "%lld", (long long)(thousandths / 1000));
	if (rest == 0)
		return;
	for (; rest % 10 == 0; rest /= 10)
		digits--;
	buf_printf(b, ".%0*d", digits, rest);
}

static void
put_size(struct buf *b, int64_t bytes)
{
	for (size_t i = 0; i < ARRAY_LEN(size_units); i++) {
		if (bytes > 0 && bytes % size_units[i].bytes == 0) {
			buf_printf(b, "%lld%s",
			    (long long)(bytes / size_units[i].bytes),
			    size_units[i].name);
			return;
		}
	}
	buf_puts(b, "0");
}

void
cfg_value_rule(const struct cfg_key *key, struct buf *out)
{
	long long min = key->min, max = key->max;

	switch (key->type) {
	case CFG_STRING:
		buf_printf(out, "text of %lld to %lld bytes", min, max);
		break;
	case CFG_NAME:
		buf_printf(out,
		    "a name of %lld to %lld bytes, not blank, not - first", min,
		    max);
		break;
	case CFG_ID:
		buf_printf(out,
		    "%lld to %lld of A-Z a-z 0-9 . _ -, not . or - first", min,
		    max);
		break;
	case CFG_PATH:
		buf_printf(out, "a path of %lld to %lld bytes", min, max);
		break;
	case CFG_INT:
		buf_printf(out, "a whole number from %lld to %lld", min, max);
		break;
	case CFG_DECIMAL:
		buf_puts(out, "a number such as 12 or 0.5, from ");
		put_decimal(out, min);
		buf_puts(out, " to ");
		put_decimal(out, max);
		buf_puts(out, ", with three decimals at most");
		break;
	case CFG_BOOL:
		buf_puts(out, "true or false");
		break;
	case CFG_DURATION:
		buf_puts(out, "a duration such as 1h30m or 250ms, from ");
		put_duration(out, min);
		buf_puts(out, " to ");
		put_duration(out, max);
		break;
	case CFG_SIZE:
		buf_puts(out, "bytes or a size such as 64MiB, from ");
		put_size(out, min);
		buf_puts(out, " to ");
		put_size(out, max);
		break;
	case CFG_ENUM:
		buf_printf(out, "one of %s", key->dflt);
		break;
	case CFG_LIST:
		buf_printf(out, "a comma-separated list of %lld to %lld items",
		    min, max);
		break;
	}
}
