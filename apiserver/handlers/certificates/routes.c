/*
 * Routes of the certificates.
 */
#include "apiserver/handlers/certificates/certs.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define CERTS "/api/v1/certificates"
#define EST_CERTS "/api/v1/est/certificates"

/* A bulk call ends before its client and its statement are given up. */
#define BULK_MS 300000

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
    {"POST", CERTS "/{id}/revoke", ROUTE_PERMISSION, "cert.revoke", cert_revoke,
	0},
    {"POST", CERTS "/bulk-renew", ROUTE_PERMISSION, "cert.issue",
	cert_bulk_renew, BULK_MS},
    {"POST", CERTS "/bulk-revoke", ROUTE_PERMISSION, "cert.bulk_revoke",
	cert_bulk_revoke, BULK_MS},
    {"POST", CERTS "/bulk-reassign", ROUTE_PERMISSION, "cert.edit",
	cert_bulk_reassign, BULK_MS},
    {"POST", EST_CERTS "/bulk-revoke", ROUTE_PERMISSION, "cert.bulk_revoke",
	cert_bulk_revoke_est, BULK_MS},
};

const struct route_area routes_certificates = {"certificates", rows,
    ARRAY_LEN(rows)};
