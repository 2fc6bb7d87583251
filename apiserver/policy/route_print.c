/* The route table as data: what a row means, and all of it as JSON. */
#include <stdio.h>

#include "apiserver/policy/route.h"
#include "common/base/buf.h"
#include "common/json/json.h"

enum { DEADLINE_MS = 30000 };

static const char *const access_names[] = {
    [ROUTE_PUBLIC] = "public",
    [ROUTE_PERMISSION] = "permission",
    [ROUTE_SIGNED_IN] = "signed-in",
    [ROUTE_AGENT] = "agent",
    [ROUTE_REGISTER] = "register",
};
static const char *const rate_names[] = {
    [ROUTE_RATED] = "rated",
    [ROUTE_UNRATED] = "unrated",
};
static const char *const scope_names[] = {
    [ROUTE_GLOBAL] = "global",
    [ROUTE_ISSUER] = "issuer",
    [ROUTE_PROFILE] = "profile",
};

int64_t
route_deadline_ms(const struct route *route)
{
	return route->deadline_ms ? route->deadline_ms : DEADLINE_MS;
}

size_t
route_max_body(const struct route *route, size_t configured)
{
	return route->access == ROUTE_PUBLIC ? 0 : configured;
}

static void
print_route(struct json_w *w, const char *area, const struct route *route,
    size_t configured_body)
{
	json_w_open(w, '{');
	json_w_kv(w, "method", route->method);
	json_w_kv(w, "pattern", route->pattern);
	json_w_kv(w, "area", area);
	json_w_kv(w, "auth", access_names[route->access]);
	json_w_kv(w, "permission", route->permission ? route->permission : "");
	json_w_kv(w, "scope", scope_names[route->scope]);
	json_w_kv_bool(w, "own_keys",
	    route->is_for_own_keys || route->access == ROUTE_AGENT);
	json_w_kv(w, "rate", rate_names[route->rate]);
	json_w_kv_int(w, "max_body",
	    (int64_t)route_max_body(route, configured_body));
	json_w_kv_int(w, "deadline_ms", route_deadline_ms(route));
	json_w_close(w, '}');
}

rc
routes_print(const struct route_area *const *areas, size_t n,
    size_t configured_body)
{
	struct json_w w;
	struct buf b;
	int written;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '[');
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < areas[i]->n; j++)
			print_route(&w, areas[i]->name, &areas[i]->routes[j],
			    configured_body);
	}
	json_w_close(&w, ']');
	written = puts(buf_cstr(&b));
	buf_fini(&b);
	return written >= 0 && fflush(stdout) == 0 ? RC_OK : RC_IO;
}
