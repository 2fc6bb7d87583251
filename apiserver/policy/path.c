#include "apiserver/policy/path.h"

#include <string.h>

#include "common/base/enc.h"
#include "common/base/plain.h"

/* In place; the result is never longer. */
static bool
decode(char *s, bool plus_is_blank)
{
	char *to = s;
	bool is_plain = true;
	int high, low;

	for (const char *from = s; *from; from++) {
		if (*from == '%') {
			high = enc_hex_value(from[1]);
			low = high < 0 ? -1 : enc_hex_value(from[2]);
			if (low < 0 || (high == 0 && low == 0))
				return false;
			*to++ = (char)(high << 4 | low);
			from += 2;
			is_plain = false;
		} else if (*from == '+' && plus_is_blank) {
			*to++ = ' ';
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
	/* Without escapes it is ASCII, which was checked before. */
	return is_plain || plain_is_line(s);
}

static rc
parse_query(char *query, struct path *out)
{
	char *pair, *value;

	while ((pair = strsep(&query, "&"))) {
		value = strchr(pair, '=');
		if (value)
			*value++ = '\0';
		else
			value = pair + strlen(pair);
		if (!decode(pair, true) || !decode(value, true))
			return RC_INVALID;
		if (!*pair)
			continue;
		/* A filter that is left out would widen what is asked for. */
		if (out->nquery == PATH_QUERY_MAX)
			return RC_INVALID;
		out->query[out->nquery++] = (struct path_pair){pair, value};
	}
	return RC_OK;
}

rc
path_parse(char *target, struct path *out)
{
	char *query, *segment, *path;

	out->nsegments = out->nquery = 0;
	if (strnlen(target, PATH_TARGET_MAX + 1) > PATH_TARGET_MAX)
		return RC_TOO_LARGE;
	for (const char *p = target; *p; p++) {
		if (*p <= ' ' || *p >= 0x7f || *p == '#')
			return RC_INVALID;
	}
	if (*target != '/')
		return RC_INVALID;
	path = target + 1;
	query = strchr(path, '?');
	if (query)
		*query++ = '\0';
	while (path) {
		segment = path;
		if (out->nsegments < PATH_SEGMENTS_MAX - 1)
			(void)strsep(&path, "/");
		else
			path = NULL;
		if (!decode(segment, false))
			return RC_INVALID;
		out->segments[out->nsegments++] = segment;
	}
	return query ? parse_query(query, out) : RC_OK;
}

const char *
path_query(const struct path *p, const char *name)
{
	for (size_t i = 0; i < p->nquery; i++) {
		if (strcmp(p->query[i].name, name) == 0)
			return p->query[i].value;
	}
	return NULL;
}

void
path_join(struct path *p, size_t from)
{
	char *to = p->segments[from];
	size_t len;

	to += strlen(to);
	/* Decoding only made them shorter, so they move to the left. */
	for (size_t i = from + 1; i < p->nsegments; i++) {
		*to++ = '/';
		len = strlen(p->segments[i]);
		memmove(to, p->segments[i], len);
		to += len;
	}
	*to = '\0';
	p->nsegments = from + 1;
}

/* --- parameters --- */

bool
path_id_is_valid(const char *id)
{
	size_t len = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				"abcdefghijklmnopqrstuvwxyz0123456789._:-");

	return len >= 1 && len <= 128 && id[len] == '\0' && id[0] != '-' &&
	       strcmp(id, ".") != 0 && strcmp(id, "..") != 0;
}

bool
path_base64_is_valid(const char *text)
{
	size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789+/");
	size_t padding = strspn(text + len, "=");

	return len >= 2 && text[len + padding] == '\0' && len % 4 != 1 &&
	       (padding == 0 || (padding <= 2 && (len + padding) % 4 == 0));
}

bool
path_ocsp_is_valid(const char *text)
{
	size_t digits = strspn(text, "0123456789abcdefABCDEF");

	return (digits > 0 && text[digits] == '\0') ||
	       path_base64_is_valid(text);
}

#define BASE64URL \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

bool
path_certid_is_valid(const char *text)
{
	size_t key = strspn(text, BASE64URL), serial;

	if (key == 0 || text[key] != '.')
		return false;
	serial = strspn(text + key + 1, BASE64URL);
	return serial > 0 && text[key + 1 + serial] == '\0' &&
	       key + 1 + serial <= 128;
}

bool
path_file_is_valid(const char *text)
{
	size_t len;

	if (strlen(text) > 255)
		return false;
	for (;; text += len + 1) {
		len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz0123456789._-");
		if (len == 0 || text[0] == '.')
			return false;
		if (text[len] != '/')
			return text[len] == '\0';
	}
}
