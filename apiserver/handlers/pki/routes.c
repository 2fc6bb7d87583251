/*
 * Routes of the public key infrastructure.
 */
#include "apiserver/handlers/pki/intermediates.h"
#include "apiserver/handlers/pki/pki.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define HIERARCHY "ca.hierarchy.manage"

static const struct route public_rows[] = {
    {"GET", "/.well-known/pki/crl/{issuer}", NULL, crl_get_start},
    {"GET", "/.well-known/pki/crl/{issuer}/{key}", NULL, crl_get_of_key_start},
    {"GET", "/.well-known/pki/ocsp/{issuer}/{asked:ocsp...}", NULL,
	ocsp_get_start},
    {"POST", "/.well-known/pki/ocsp/{issuer}", NULL, ocsp_post_start,
	ROUTE_NO_EVENT, .own = {.body = ROUTE_BODY}},
};
static const struct route admin_rows[] = {
    {"GET", "/api/v1/admin/crl/cache", "crl.admin", crl_cache_start},
};
static const struct route rows[] = {
    {"GET", "/api/v1/issuers/{id}/cas", "issuer.read", issuer_cas_start,
	.scope = ROUTE_ISSUER},
    {"POST", "/api/v1/issuers/{id}/successor", "issuer.edit",
	issuer_successor_start, "issuer_successor_requested",
	.scope = ROUTE_ISSUER},
    {"POST", "/api/v1/issuers/{id}/switch", "issuer.edit", issuer_switch_start,
	"issuer_ca_certificate_changed", .scope = ROUTE_ISSUER},
    {"POST", "/api/v1/issuers/{id}/intermediates", HIERARCHY,
	intermediate_create_start,
	"intermediate_ca_root_created intermediate_ca_child_created"},
    {"GET", "/api/v1/issuers/{id}/intermediates", HIERARCHY,
	intermediate_list_start},
    {"GET", "/api/v1/intermediates/{id}", HIERARCHY, intermediate_get_start},
    {"POST", "/api/v1/intermediates/{id}/retire", HIERARCHY,
	intermediate_retire_start,
	"intermediate_ca_retiring intermediate_ca_retired"},
    {"POST", "/api/v1/intermediates/{id}/revoke", HIERARCHY,
	intermediate_revoke_start, "intermediate_ca_revoked"},
};

const struct route_area routes_pki = {
    .name = "pki",
    .prefix = "/.well-known/pki/",
    .rules = {.access = ROUTE_PUBLIC,
	.renderer = &render_brief,
	.body = ROUTE_NO_BODY,
	.rate = ROUTE_RATED,
	.preflight = ROUTE_NO_PREFLIGHT,
	.head = ROUTE_NO_HEAD,
	.deadline_ms = 30000},
    .routes = public_rows,
    .n = ARRAY_LEN(public_rows),
};
const struct route_area routes_crl = ROUTE_API_AREA_BELOW("crl",
    "/api/v1/admin/", &render_brief, ROUTE_NO_HEAD, admin_rows);
const struct route_area routes_ca = ROUTE_API_AREA("ca", rows);
