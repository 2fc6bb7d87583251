/*
 * request_read: what handlers see of a request.
 */
#include <string.h>

#include <cjson/cJSON.h>

#include "apiserver/edge/request_io.h"
#include "common/base/enc.h"
#include "common/base/plain.h"
#include "common/log/log.h"

enum { WAIT_MAX_MS = 60000 };

static struct request *
req_of(const struct op *op)
{
	return op_owner(op);
}

struct api *
req_api(const struct op *op)
{
	return req_of(op)->api;
}

const struct principal *
req_principal(const struct op *op)
{
	return &req_of(op)->principal;
}

const char *
req_actor_type(const struct op *op)
{
	switch (req_of(op)->principal.kind) {
	case PRINCIPAL_API_KEY:
		return "APIKey";
	case PRINCIPAL_AGENT:
		return "Agent";
	case PRINCIPAL_BOOTSTRAP:
	case PRINCIPAL_NONE:
		break;
	}
	return "Anonymous";
}

const char *
req_param(const struct op *op, const char *name)
{
	const struct route_match *m = &req_of(op)->match;

	for (size_t i = 0; i < m->nparams; i++) {
		if (strcmp(m->params[i].name, name) == 0)
			return m->params[i].value;
	}
	log_fatal("REQUEST-PARAM", "%s has no {%s}", m->route->pattern, name);
}

/* A handler that reads what its route does not say is a mistake of ours; the
 * client gets what it asked for. */
static void
check_described(const struct route_match *m, const char *name)
{
	if (m->shape != NULL && !shape_has_query(m->shape, name))
		log_warn("HTTP-UNDESCRIBED", "%s %s reads ?%s= unsaid",
		    m->route->method, m->route->pattern, name);
}

const char *
req_query(const struct op *op, const char *name)
{
	const char *value = path_query(&req_of(op)->path, name);

	check_described(&req_of(op)->match, name);
	return value && *value ? value : NULL;
}

bool
req_has_query(const struct op *op, const char *name)
{
	return path_query(&req_of(op)->path, name) != NULL;
}

int64_t
req_query_int(const struct op *op, const char *name, int64_t min, int64_t max,
    int64_t dflt)
{
	const char *text = req_query(op, name);
	int64_t value;
	rc ret;

	if (!text)
		return dflt;
	ret = enc_parse_i64(text, min, max, &value);
	return ret == RC_OK ? value : dflt;
}

rc
req_wait(const struct op *op, int64_t *out_ms, const char **out_why)
{
	const char *text = req_query(op, "wait");
	rc ret = RC_OK;

	*out_ms = 0;
	if (text)
		ret = enc_parse_duration_ms(text, out_ms);
	if (ret != RC_OK || *out_ms < 0) {
		*out_why = "wait must be a duration, such as 30s";
		return RC_INVALID;
	}
	if (*out_ms > WAIT_MAX_MS)
		*out_ms = WAIT_MAX_MS;
	return RC_OK;
}

const char *
req_header(struct op *op, const char *name)
{
	const struct request *r = req_of(op);
	const char *all = NULL;

	for (size_t i = 0; i < r->head.nfields; i++) {
		if (strcasecmp(r->head.fields[i].name, name) != 0)
			continue;
		all =
		    all ? op_printf(op, "%s, %s", all, r->head.fields[i].value)
			: r->head.fields[i].value;
	}
	return all;
}

bool
req_is_head(const struct op *op)
{
	return strcmp(req_of(op)->head.method, "HEAD") == 0;
}

const char *
req_target(struct op *op)
{
	const struct path *p = &req_of(op)->path;
	struct buf b;
	const char *text;

	buf_init(&b, PATH_TARGET_MAX);
	for (size_t i = 0; i < p->nsegments; i++) {
		buf_putc(&b, '/');
		buf_puts(&b, p->segments[i]);
	}
	for (size_t i = 0; i < p->nquery; i++) {
		buf_putc(&b, i == 0 ? '?' : '&');
		buf_puts(&b, p->query[i].name);
		buf_putc(&b, '=');
		buf_puts(&b, p->query[i].value);
	}
	text = arena_strndup(op_arena(op), b.data ? b.data : "", b.len);
	buf_fini(&b);
	return text;
}

const char *
req_peer(struct op *op)
{
	struct request *r = req_of(op);

	if (!r->peer_text[0])
		peer_text(&r->peer, r->peer_text);
	return r->peer_text;
}

const struct peer_addr *
req_peer_addr(const struct op *op)
{
	return &req_of(op)->peer;
}

bool
req_has_tag(const struct op *op, const char *etag)
{
	const char *tag = request_header(req_of(op), "If-None-Match");

	return tag && strcmp(tag, etag) == 0;
}

rc
req_idempotency_key(struct op *op, const char **out)
{
	const char *key = request_header(req_of(op), "Idempotency-Key");
	size_t len = key ? strlen(key) : 0;

	*out = NULL;
	if (!key)
		return RC_OK;
	if (len > REQUEST_KEY_MAX)
		return RC_INVALID;
	if (len >= 2 && key[0] == '"' && key[len - 1] == '"') {
		key++;
		len -= 2;
	}
	if (len == 0 || !plain_is_line(key))
		return RC_INVALID;
	*out = arena_strndup(op_arena(op), key, len);
	return RC_OK;
}

const char *
req_body(const struct op *op, size_t *out_len)
{
	const struct request *r = req_of(op);

	*out_len = r->body_len;
	return r->body ? r->body : "";
}

rc
req_json_any(struct op *op, bool may_be_empty, const struct cJSON **out,
    const char **out_why)
{
	const struct request *r = req_of(op);
	const char *body = r->body ? r->body : "", *why = "";
	size_t len = r->body_len;
	rc ret;

	if (len == 0 && may_be_empty) {
		body = "{}";
		len = 2;
	}
	if (len == 0) {
		*out_why = "Invalid request body: it is empty";
		return RC_INVALID;
	}
	ret = json_parse(op_arena(op), body, len, out, &why);
	if (ret != RC_OK) {
		*out_why = op_printf(op, "Invalid request body: %s", why);
		return RC_INVALID;
	}
	if (!cJSON_IsObject(*out)) {
		*out_why = "Invalid request body: it is not an object";
		return RC_INVALID;
	}
	return RC_OK;
}

/*
 * What of a value hides something: NULL for nothing, else the path of the
 * member below it ("" for the value itself, or for a member whose name can't
 * be shown).  json_parse bounds the depth.
 */
static const char *
find_hidden(struct op *op, const struct cJSON *value)
{
	const struct cJSON *item;
	const char *below;

	if (cJSON_IsString(value))
		return plain_is_text(value->valuestring) ? NULL : "";
	cJSON_ArrayForEach(item, value)
	{
		if (item->string != NULL && !plain_is_line(item->string))
			return "";
		below = find_hidden(op, item);
		if (below == NULL)
			continue;
		if (item->string == NULL)
			return below;
		return op_printf(op, "%s%s%s", item->string, *below ? "." : "",
		    below);
	}
	return NULL;
}

rc
req_json(struct op *op, bool may_be_empty, const struct cJSON **out,
    const char **out_why)
{
	const char *name;
	rc ret;

	ret = req_json_any(op, may_be_empty, out, out_why);
	if (ret != RC_OK)
		return ret;
	name = find_hidden(op, *out);
	if (name == NULL)
		return RC_OK;
	*out_why = op_printf(op,
	    "%s must not contain control characters or others that can't be "
	    "seen",
	    *name ? name : "a member's name");
	return RC_INVALID;
}
