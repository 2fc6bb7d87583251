/*
 * Routes of the certificates.
 */
#include "apiserver/handlers/certificates/certs.h"
#include "apiserver/route.h"
#include "common/base/attr.h"

#define CERTS "/api/v1/certificates"

static const struct route rows[] = {
    {"GET", CERTS, ROUTE_PERMISSION, "cert.read", cert_list, 0},
    {"POST", CERTS, ROUTE_PERMISSION, "cert.issue", cert_create, 0},
    {"GET", CERTS "/{id}", ROUTE_PERMISSION, "cert.read", cert_get, 0},
    {"PUT", CERTS "/{id}", ROUTE_PERMISSION, "cert.edit", cert_update, 0},
    {"DELETE", CERTS "/{id}", ROUTE_PERMISSION, "cert.delete", cert_archive, 0},
    {"GET", CERTS "/{id}/versions", ROUTE_PERMISSION, "cert.read",
	cert_versions, 0},
    {"GET", CERTS "/{id}/deployments", ROUTE_PERMISSION, "cert.read",
	cert_targets, 0},
    {"POST", CERTS "/{id}/renew", ROUTE_PERMISSION, "cert.issue", cert_renew,
	0},
    {"POST", CERTS "/{id}/deploy", ROUTE_PERMISSION, "cert.edit", cert_deploy,
	0},
};

const struct route_area routes_certificates = {rows, ARRAY_LEN(rows)};
