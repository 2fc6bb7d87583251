/*
 * Routes of the public key infrastructure.
 */
#include "apiserver/handlers/pki/pki.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

static const struct route rows[] = {
    {"GET", "/.well-known/pki/crl/{issuer}", ROUTE_PUBLIC, NULL, crl_get_start,
	0},
    {"GET", "/api/v1/admin/crl/cache", ROUTE_PERMISSION, "crl.admin",
	crl_cache_start, 0},
};

const struct route_area routes_pki = {"pki", rows, ARRAY_LEN(rows)};
