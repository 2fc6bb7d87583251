#include "worker/acme/http_answer.h"

#include <string.h>

#include <openssl/crypto.h>

#include "common/http/http_url.h"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool
http01_holds(const char *body, size_t len, const char *wanted)
{
	while (len > 0 && is_blank(body[len - 1]))
		len--;
	return len == strlen(wanted) && CRYPTO_memcmp(body, wanted, len) == 0;
}

const char *
http01_redirect(struct arena *a, const char *url, const char *location,
    struct http01_target *out)
{
	struct http_url_parts p;
	const char *why;

	if (!http_url_join(a, url, location, &p))
		return "its address can't be read";
	why = http_url_refuses(p.url);
	if (why)
		return arena_printf(a, "its address %s", why);
	if (p.port != 80 && p.port != 443)
		return arena_printf(a,
		    "it leads to port %d, and none but 80 and 443 are asked",
		    p.port);
	*out = (struct http01_target){p.url, p.host, p.port};
	return NULL;
}
