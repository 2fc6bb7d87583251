/*
 * Routes of EST's and SCEP's administration.
 */
#include "apiserver/handlers/enrol/enrol.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define ADMIN "/api/v1/admin"

static const struct route rows[] = {
    {"GET", ADMIN "/scep/profiles", "scep.admin", scep_profiles},
    {"GET", ADMIN "/scep/intune/stats", "scep.admin", scep_intune_stats},
    {"POST", ADMIN "/scep/intune/reload-trust", "scep.admin",
	scep_intune_reload, ROUTE_NO_EVENT},
    {"GET", ADMIN "/est/profiles", "est.admin", est_profiles},
    {"POST", ADMIN "/est/reload-trust", "est.admin", est_reload,
	ROUTE_NO_EVENT},
};

const struct route_area routes_enrol = ROUTE_API_AREA_BELOW("enrol", ADMIN "/",
    &render_brief, ROUTE_NO_HEAD, rows);
