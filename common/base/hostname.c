#include "common/base/hostname.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <string.h>
#include <strings.h>

enum { MAX_LABEL = 63 };

#define DIGITS "0123456789"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* Decodes it and encodes the result; the same must come of it. */
static bool
is_punycode(const char *label, size_t len)
{
	char copy[MAX_LABEL + 1];
	char *unicode = NULL, *again = NULL;
	bool is_same = false;

	memcpy(copy, label, len);
	copy[len] = '\0';
	if (idn2_to_unicode_8z8z(copy, &unicode, 0) == IDN2_OK &&
	    idn2_to_ascii_8z(unicode, &again,
		IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK)
		/* What decodes to itself stood for nothing. */
		is_same = strcasecmp(again, copy) == 0 &&
			  strcasecmp(unicode, copy) != 0;
	idn2_free(again);
	idn2_free(unicode);
	return is_same;
}

static bool
is_label(const char *label, size_t len)
{
	if (len < 1 || len > MAX_LABEL || label[0] == '-' ||
	    label[len - 1] == '-')
		return false;
	if (strspn(label, LETTERS DIGITS "-_") < len)
		return false;
	return len < 4 || strncasecmp(label, "xn--", 4) != 0 ||
	       is_punycode(label, len);
}

/* Decimal, or hexadecimal as inet_aton reads it. */
static bool
is_number(const char *label)
{
	if (strncasecmp(label, "0x", 2) == 0)
		return label[2 + strspn(label + 2, DIGITS "ABCDEFabcdef")] ==
		       '\0';
	return label[strspn(label, DIGITS)] == '\0';
}

bool
hostname_is_valid(const char *text, bool may_be_wildcard)
{
	const char *label = text;

	if (strnlen(text, HOSTNAME_MAX + 1) > HOSTNAME_MAX)
		return false;
	if (may_be_wildcard && strncmp(text, "*.", 2) == 0)
		label = text + 2;
	for (;;) {
		size_t len = strcspn(label, ".");

		if (!is_label(label, len))
			return false;
		if (label[len] == '\0')
			return !is_number(label);
		label += len + 1;
	}
}

bool
hostname_is_address(const char *text)
{
	unsigned char raw[16];

	return inet_pton(AF_INET, text, raw) == 1 ||
	       inet_pton(AF_INET6, text, raw) == 1;
}
