#include "apiserver/policy/cors.h"

#include <ctype.h>
#include <string.h>

#include "apiserver/edge/authority.h"
#include "apiserver/edge/request_io.h"
#include "common/log/log.h"

/* Browsers write host names in lower case, and no port that is the scheme's. */
static bool
is_origin(const char *text)
{
	size_t skip = strncmp(text, "https://", 8) == 0  ? 8
		      : strncmp(text, "http://", 7) == 0 ? 7
							 : 0;
	struct authority a;

	if (skip == 0 || !authority_read(text + skip, strlen(text + skip), &a))
		return false;
	for (const char *p = text; *p; p++) {
		if (isupper((unsigned char)*p))
			return false;
	}
	return a.port != (skip == 8 ? 443 : 80);
}

rc
cors_check(const char *const *origins)
{
	for (; origins && *origins; origins++) {
		if (is_origin(*origins))
			continue;
		log_error("CORS-ORIGIN",
		    "CERTCTL_CORS_ORIGINS: \"%s\" is no origin such as "
		    "https://dashboard.example.com, in lower case and without "
		    "a path; * is not taken, for it lets every page ask",
		    *origins);
		return RC_INVALID;
	}
	return RC_OK;
}

static void
tell_listed(struct request *r, const char *const *origins)
{
	const char *origin = request_header(r, "Origin");

	while (origin && *origins && strcmp(*origins, origin) != 0)
		origins++;
	if (!origin || !*origins)
		return;
	request_set_header(r, "Access-Control-Allow-Origin", *origins);
	request_set_header(r, "Vary", "Origin");
	request_set_header(r, "Access-Control-Allow-Methods",
	    "GET, POST, PUT, DELETE, PATCH, OPTIONS");
	request_set_header(r, "Access-Control-Allow-Headers",
	    "Content-Type, Authorization, X-Request-ID");
	request_set_header(r, "Access-Control-Max-Age", "86400");
}

void
cors_tell(struct request *r, const char *const *origins)
{
	if (!r->match.rules)
		return;
	switch (r->match.rules->preflight) {
	case ROUTE_PREFLIGHT:
		if (origins)
			tell_listed(r, origins);
		break;
	case ROUTE_ANY_ORIGIN:
		request_set_header(r, "Access-Control-Allow-Origin", "*");
		break;
	case ROUTE_NO_PREFLIGHT:
		break;
	}
}
