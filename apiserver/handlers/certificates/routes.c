/*
 * Routes of the certificates.
 */
#include "apiserver/handlers/certificates/certs.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define CERTS "/api/v1/certificates"
#define EST_CERTS "/api/v1/est/certificates"

/* Of the jobs that end with their certificate. */
#define JOBS_CANCELLED \
	"renewal_job_cancelled deployment_job_cancelled approval_expired"

/* A bulk call ends before its client and its statement are given up. */
#define BULK \
	{ \
		.deadline_ms = 300000 \
	}

static const struct route rows[] = {
    {"GET", CERTS, "cert.read", cert_list,
	.reads = LIST_CERTIFICATES | LIST_JOBS},
    {"POST", CERTS, "cert.issue", cert_create, "certificate_created"},
    {"GET", CERTS "/{id}", "cert.read", cert_get},
    {"PUT", CERTS "/{id}", "cert.edit", cert_update,
	"certificate_updated deployment_job_cancelled"},
    {"DELETE", CERTS "/{id}", "cert.delete", cert_archive,
	"certificate_archived " JOBS_CANCELLED},
    {"GET", CERTS "/{id}/versions", "cert.read", cert_versions},
    {"GET", CERTS "/{id}/deployments", "cert.read", cert_targets},
    {"GET", CERTS "/{id}/export/pem", "cert.read", cert_export_pem,
	"cert_export_pem"},
    {"POST", CERTS "/{id}/export/pkcs12", "cert.read", cert_export_pkcs12,
	"cert_export_pkcs12"},
    {"POST", CERTS "/{id}/renew", "cert.issue", cert_renew,
	"renewal_job_created approval_requested renewal_job_cancelled"},
    {"POST", CERTS "/{id}/deploy", "cert.edit", cert_deploy,
	"deployment_triggered"},
    {"POST", CERTS "/{id}/revoke", "cert.revoke", cert_revoke,
	"certificate_revoked " JOBS_CANCELLED},
    {"POST", CERTS "/bulk-renew", "cert.issue", cert_bulk_renew,
	"bulk_renewal_initiated approval_requested", .own = BULK},
    {"POST", CERTS "/bulk-revoke", "cert.bulk_revoke", cert_bulk_revoke,
	"bulk_revocation_initiated certificate_revoked " JOBS_CANCELLED,
	.own = BULK},
    {"POST", CERTS "/bulk-reassign", "cert.edit", cert_bulk_reassign,
	"bulk_reassignment_initiated", .own = BULK},
    {"POST", EST_CERTS "/bulk-revoke", "cert.bulk_revoke", cert_bulk_revoke_est,
	"bulk_revocation_initiated certificate_revoked " JOBS_CANCELLED,
	.own = BULK},
};

const struct route_area routes_certificates =
    ROUTE_API_AREA("certificates", rows);
