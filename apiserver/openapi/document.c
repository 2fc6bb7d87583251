#include "apiserver/openapi/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/openapi/operation.h"
#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/json/json.h"

static void
put_info(struct json_w *w)
{
	json_w_kv(w, "openapi", "3.1.0");
	json_w_key(w, "info");
	json_w_open(w, '{');
	json_w_kv(w, "title", "certctl");
	json_w_kv(w, "version", CERTCTL_VERSION);
	json_w_kv(w, "description",
	    "Made of the route table of the running process. x-permission: "
	    "what the key's roles must hold; x-also: this too; x-access: who "
	    "may ask; x-rate-class: whether requests count against the "
	    "caller's rate; x-audit: the events that a success leaves.");
	json_w_close(w, '}');
}

static void
put_components(struct json_w *w)
{
	json_w_key(w, "components");
	json_w_raw(w,
	    "{\"securitySchemes\":{\"key\":{\"type\":\"http\","
	    "\"scheme\":\"bearer\",\"description\":\"An API key, an agent's "
	    "own key, or where x-access is register the bootstrap token.\"}},"
	    "\"schemas\":{\"Error\":{\"type\":\"object\","
	    "\"required\":[\"error\"],\"properties\":{"
	    "\"error\":{\"type\":\"string\"},"
	    "\"message\":{\"type\":\"string\"},"
	    "\"request_id\":{\"type\":\"string\",\"format\":\"uuid\"}}}},"
	    "\"responses\":{\"Error\":{\"description\":\"What was wrong, and "
	    "what would do. 405, and 404 of an unknown path, are plain text; "
	    "401 is this object as plain text.\",\"content\":{"
	    "\"application/json\":{\"schema\":"
	    "{\"$ref\":\"#/components/schemas/Error\"}},"
	    "\"text/plain\":{\"schema\":{\"type\":\"string\"}}}},"
	    "\"RateLimited\":{\"description\":\"The caller's rate is used "
	    "up.\",\"headers\":{\"Retry-After\":{\"schema\":"
	    "{\"type\":\"integer\"}}},\"content\":{\"application/json\":"
	    "{\"schema\":{\"$ref\":\"#/components/schemas/Error\"}}}}}}");
}

/* Whether an earlier row has the same path. */
static bool
is_told(const struct route_area *const *areas, const struct route *route)
{
	for (size_t i = 0;; i++) {
		for (size_t j = 0; j < areas[i]->n; j++) {
			const struct route *r = &areas[i]->routes[j];

			if (r == route)
				return false;
			if (strcmp(r->pattern, route->pattern) == 0)
				return true;
		}
	}
}

/* All methods of the route's path, which stand in any area. */
static void
put_path(struct json_w *w, const struct route_area *const *areas, size_t n,
    const char *pattern)
{
	operation_put_path(w, pattern);
	json_w_open(w, '{');
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < areas[i]->n; j++) {
			const struct route *r = &areas[i]->routes[j];

			if (strcmp(r->pattern, pattern) == 0)
				operation_put(w, areas[i], r);
		}
	}
	json_w_close(w, '}');
}

struct document *
document_new(const struct route_area *const *areas, size_t n)
{
	struct document *d = mem_zalloc(sizeof(*d));
	struct json_w w;
	struct buf b;
	char hash[65];

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	put_info(&w);
	json_w_key(&w, "paths");
	json_w_open(&w, '{');
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < areas[i]->n; j++) {
			const struct route *r = &areas[i]->routes[j];

			if (!is_told(areas, r))
				put_path(&w, areas, n, r->pattern);
		}
	}
	json_w_close(&w, '}');
	put_components(&w);
	json_w_close(&w, '}');
	buf_putc(&b, '\n');
	d->len = b.len;
	d->text = mem_strdup(buf_cstr(&b));
	buf_fini(&b);
	enc_sha256_hex(d->text, d->len, hash);
	(void)snprintf(d->etag, sizeof(d->etag), "\"%s\"", hash);
	return d;
}

void
document_free(struct document *d)
{
	if (!d)
		return;
	free(d->text);
	free(d);
}
