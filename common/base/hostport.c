#include "common/base/hostport.h"

#include <string.h>

#include "common/base/enc.h"

rc
hostport_parse(const char *text, struct hostport *out)
{
	const char *from = text, *colon = strrchr(text, ':');
	struct hostport found;
	int64_t port;
	size_t len;
	rc ret;

	if (!colon || colon == text)
		return RC_INVALID;
	len = (size_t)(colon - text);
	if (text[0] == '[') {
		if (text[len - 1] != ']')
			return RC_INVALID;
		from++;
		len -= len < 2 ? len : 2;
	}
	if (len == 0 || len > HOSTNAME_MAX)
		return RC_INVALID;
	memcpy(found.host, from, len);
	found.host[len] = '\0';
	/* Brackets and colons belong together. */
	if ((text[0] == '[') != (strchr(found.host, ':') != NULL))
		return RC_INVALID;
	if (!hostname_is_address(found.host) &&
	    !hostname_is_valid(found.host, false))
		return RC_INVALID;
	ret = enc_parse_i64(colon + 1, 1, 65535, &port);
	if (ret != RC_OK)
		return ret;
	found.port = (int)port;

	*out = found;
	return RC_OK;
}
