#include "apiserver/edge/authority.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "common/base/text.h"

enum {
	HOST_MAX = 254, /* with a dot at its end */
	LABEL_MAX = 63,
	PORT_DIGITS = 5,
	PORT_MAX = 65535,
};

static bool
is_label_char(char c)
{
	return text_is_digit(c) || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

static bool
is_address(int family, const char *text, size_t len)
{
	unsigned char raw[sizeof(struct in6_addr)];
	char copy[INET6_ADDRSTRLEN];

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return inet_pton(family, copy, raw) == 1;
}

static bool
is_label(const char *label, size_t len, bool *out_is_number)
{
	bool is_number = true;

	if (len < 1 || len > LABEL_MAX || label[0] == '-' ||
	    label[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!is_label_char(label[i]))
			return false;
		is_number = is_number && text_is_digit(label[i]);
	}
	*out_is_number = is_number;
	return true;
}

/* A name whose last label is a number is an address, or none at all. */
static bool
is_name(const char *text, size_t len)
{
	size_t end = len > 0 && text[len - 1] == '.' ? len - 1 : len;
	bool is_number = false;
	size_t at = 0, n;

	if (len > HOST_MAX)
		return false;
	for (;; at += n + 1) {
		for (n = 0; at + n < end && text[at + n] != '.'; n++)
			;
		if (!is_label(text + at, n, &is_number))
			return false;
		if (at + n == end)
			return !is_number || is_address(AF_INET, text, len);
	}
}

/* ":8443", ":" (RFC 3986 lets the digits away) or nothing. */
static bool
read_port(const char *text, size_t len, unsigned *out)
{
	unsigned port = 0;

	*out = 0;
	if (len == 0)
		return true;
	if (text[0] != ':' || len > 1 + PORT_DIGITS)
		return false;
	for (size_t i = 1; i < len; i++) {
		if (!text_is_digit(text[i]))
			return false;
		port = port * 10 + (unsigned)(text[i] - '0');
	}
	*out = port;
	return len == 1 || (port >= 1 && port <= PORT_MAX);
}

bool
authority_read(const char *text, size_t len, struct authority *out)
{
	bool is_v6 = len > 0 && text[0] == '[';
	const char *end = len > 0 ? memchr(text, is_v6 ? ']' : ':', len) : NULL;
	struct authority a = {.host = text, .len = len};

	if (is_v6 && !end)
		return false;
	if (end)
		a.len = (size_t)(end - text) + (is_v6 ? 1 : 0);
	if (is_v6 ? !is_address(AF_INET6, text + 1, a.len - 2)
		  : !is_name(text, a.len))
		return false;
	if (!read_port(text + a.len, len - a.len, &a.port))
		return false;
	*out = a;
	return true;
}

bool
authority_is_same(const struct authority *a, const struct authority *b,
    unsigned dflt)
{
	return a->len == b->len && strncasecmp(a->host, b->host, a->len) == 0 &&
	       (a->port ? a->port : dflt) == (b->port ? b->port : dflt);
}
