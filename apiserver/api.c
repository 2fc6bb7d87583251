#include "apiserver/api.h"

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
