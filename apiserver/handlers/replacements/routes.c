/*
 * Routes of replacements.  Each certificate gets another issuer and a renewal,
 * and what it had may be revoked: who begins one may do all of that at once.
 */
#include "apiserver/handlers/replacements/replacements.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define ALL "/api/v1/replacements"
#define MAY "cert.bulk_revoke"

/* A plan looks at every certificate of the issuer, a piece at a time. */
#define LONG \
	{ \
		.deadline_ms = 300000 \
	}

static const struct route rows[] = {
    {"GET", ALL, "cert.read", replacement_list},
    {"POST", ALL, MAY, replacement_create, "replacement_begun", .own = LONG},
    {"POST", ALL "/plan", "cert.read", replacement_plan, ROUTE_NO_EVENT,
	.own = LONG},
    {"POST", ALL "/plan/certificates", "cert.read", replacement_excluded,
	ROUTE_NO_EVENT},
    {"GET", ALL "/{id}", "cert.read", replacement_get},
    {"GET", ALL "/{id}/certificates", "cert.read", replacement_certificates},
    {"POST", ALL "/{id}/pause", MAY, replacement_pause, "replacement_paused"},
    {"POST", ALL "/{id}/resume", MAY, replacement_resume,
	"replacement_resumed"},
    {"POST", ALL "/{id}/cancel", MAY, replacement_cancel,
	"replacement_cancelled"},
};

const struct route_area routes_replacements =
    ROUTE_API_AREA("replacements", rows);
