#include "apiserver/api.h"

#include "common/base/clock.h"

void
api_hint(struct api *a, const char *body, size_t len)
{
	if (a->bus)
		bus_client_hint(a->bus, body, len);
}

bool
api_has_leader(const struct api *a)
{
	return a->bus && bus_client_term(a->bus) != 0;
}

int64_t
api_uptime_s(const struct api *a)
{
	return (clock_wall_us() - a->started_us) / 1000000;
}
