/*
 * Routes of the digest.
 */
#include "apiserver/handlers/digest/digest.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

static const struct route rows[] = {
    {"GET", "/api/v1/digest/preview", "digest.read", digest_preview},
    {"POST", "/api/v1/digest/send", "digest.send", digest_send,
	"digest_requested"},
};

const struct route_area routes_digest = ROUTE_API_AREA("digest", rows);
