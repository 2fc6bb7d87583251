/*
 * Route of the live events.  Whoever may read certificates may listen; of
 * other kinds a listener sees what its key may read, too (stream.c).
 */
#include "apiserver/handlers/events/events.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

static const struct route rows[] = {
    {"GET", "/api/v1/events", "cert.read", events_start},
};

const struct route_area routes_events = ROUTE_API_AREA("events", rows);
