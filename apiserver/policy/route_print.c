/* The route table as JSON. */
#include <stdio.h>
#include <string.h>

#include "apiserver/policy/route.h"
#include "common/base/buf.h"
#include "common/json/json.h"

static const char *const scope_names[] = {
    [ROUTE_GLOBAL] = "global",
    [ROUTE_ISSUER] = "issuer",
    [ROUTE_PROFILE] = "profile",
};

static void
print_words(struct json_w *w, const char *key, const char *words)
{
	char word[64];
	size_t len;

	json_w_key(w, key);
	json_w_open(w, '[');
	for (; *words; words += len + strspn(words + len, " ")) {
		len = strcspn(words, " ");
		(void)snprintf(word, sizeof(word), "%.*s", (int)len, words);
		json_w_str(w, word);
	}
	json_w_close(w, ']');
}

static void
print_route(struct json_w *w, const struct route_area *area,
    const struct route *route, size_t configured_body)
{
	const struct route_rules rules = route_resolve(area, route);

	json_w_open(w, '{');
	json_w_kv(w, "method", route->method);
	json_w_kv(w, "pattern", route->pattern);
	json_w_kv(w, "area", area->name);
	rules_print(w, &rules, configured_body);
	json_w_kv(w, "permission", route->permission ? route->permission : "");
	json_w_kv(w, "also", route->also ? route->also : "");
	json_w_kv(w, "scope", scope_names[route->scope]);
	json_w_kv_bool(w, "head", route_has_head(route, &rules));
	json_w_kv_bool(w, "own_keys",
	    route->is_for_own_keys || rules.access == ROUTE_AGENT);
	print_words(w, "audit", route->audit ? route->audit : "");
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
			print_route(&w, areas[i], &areas[i]->routes[j],
			    configured_body);
	}
	json_w_close(&w, ']');
	written = puts(buf_cstr(&b));
	buf_fini(&b);
	return written >= 0 && fflush(stdout) == 0 ? RC_OK : RC_IO;
}
