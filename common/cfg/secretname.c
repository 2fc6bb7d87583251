#include "common/cfg/secretname.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "common/base/attr.h"

static bool
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcasecmp(s + n - m, end) == 0;
}

bool
secretname_is(const char *key)
{
	static const char *const words[] = {"password", "secret", "token",
	    "key", "hmac", "private", "credentials", "passphrase"};
	static const char *const harmless[] = {"_path", "_paths", "_file",
	    "_filename", "_mode", "_owner", "_group", "_url"};

	for (size_t i = 0; i < ARRAY_LEN(harmless); i++) {
		if (ends_with(key, harmless[i]))
			return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcasestr(key, words[i]) != NULL)
			return true;
	}
	return false;
}
