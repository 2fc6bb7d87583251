#include "apiserver/edge/request.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "apiserver/api.h"
#include "apiserver/edge/request_io.h"
#include "apiserver/live/park.h"
#include "common/base/blob.h"
#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/base/plain.h"
#include "common/base/rand.h"
#include "common/log/log.h"

enum {
	REPLY_MAX = 128 * 1024 * 1024,
	REPLY_PIECE_MS = 30000, /* for making a piece of an answer */
	REPLY_WAIT_MS = 300000,
	WAIT_MAX_MS = 60000,
	IDS_AHEAD = 256, /* request ids whose random bytes are drawn at once */
};

/* --- life --- */

/* A UUID a request; the generator is asked once for many of them, since one
 * question costs as much as the rest of a small request's bookkeeping. */
static void
next_id(char out[37])
{
	static uint8_t pool[IDS_AHEAD][16];
	static size_t left;
	char hex[33];
	uint8_t *u;

	if (left == 0) {
		rand_bytes(pool, sizeof(pool));
		left = IDS_AHEAD;
	}
	u = pool[--left];
	u[6] = (uint8_t)((u[6] & 0x0f) | 0x40); /* RFC 9562 version 4 */
	u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
	enc_hex(u, 16, hex);
	for (size_t i = 0, at = 0; i < 32; i++) {
		if (i == 8 || i == 12 || i == 16 || i == 20)
			out[at++] = '-';
		out[at++] = hex[i];
	}
	out[36] = '\0';
}

const char *
request_header(const struct request *r, const char *name)
{
	for (size_t i = 0; i < r->head.nfields; i++) {
		if (strcasecmp(r->head.fields[i].name, name) == 0)
			return r->head.fields[i].value;
	}
	return NULL;
}

struct request *
request_new(struct api *api, const struct request_carrier *carrier,
    struct conn *conn, const char *head, size_t len)
{
	struct request *r = mem_zalloc(sizeof(*r) + len + 1);
	rc ret;

	r->api = api;
	r->carrier = carrier;
	r->conn = conn;
	r->started_us = clock_boot_us();
	r->principal.id = "";
	next_id(r->id);
	buf_init(&r->reply, REPLY_MAX);
	memcpy(r->text, head, len);
	ret = http1_parse(r->text, len, &r->head, &r->refusal);
	if (ret != RC_OK) {
		r->head =
		    (struct http1_head){.method = "-", .must_close = true};
		return r;
	}
	r->has_all = r->head.framing == HTTP1_NO_BODY ||
		     (r->head.framing == HTTP1_LENGTH && r->head.length == 0);
	auth_read(request_header(r, "Authorization"), &r->credential);
	return r;
}

void
request_free(struct request *r)
{
	if (!r)
		return;
	lists_forget(&r->wait);
	if (r->body_cap > 0)
		bodymem_give(r->mem, r->body_cap);
	free(r->body);
	free(r->headers);
	free(r->index);
	buf_fini(&r->reply);
	blob_let_go(r->shared);
	free(r);
}

static bool
is_header_value(const char *value)
{
	for (; *value; value++) {
		if (!http1_is_value_char(*value))
			return false;
	}
	return true;
}

/* Header i of the answer, which may be one more. */
static void
put_header(struct request *r, size_t i, const char *name, const char *value)
{
	if (!is_header_value(value)) {
		log_warn("HTTP-HEADER", "%s was left out: its value is none",
		    name);
		return;
	}
	if (i == r->nheaders)
		r->headers = mem_realloc(r->headers, ++r->nheaders,
		    sizeof(r->headers[0]));
	r->headers[i] = (struct request_header){name, value};
}

void
request_set_header(struct request *r, const char *name, const char *value)
{
	size_t i;

	for (i = 0; i < r->nheaders; i++) {
		if (strcasecmp(r->headers[i].name, name) == 0)
			break;
	}
	put_header(r, i, name, value);
}

void
request_add_header(struct request *r, const char *name, const char *value)
{
	put_header(r, r->nheaders, name, value);
}

const char *
request_reply(const struct request *r, size_t *out_len)
{
	*out_len = r->shared ? r->shared->len : r->reply.len;
	return r->shared ? r->shared->bytes : buf_cstr(&r->reply);
}

void
request_set_text(struct request *r, int status, const char *content_type,
    const char *text)
{
	blob_let_go(r->shared);
	r->shared = NULL;
	buf_reset(&r->reply);
	buf_puts(&r->reply, text);
	r->status = status;
	r->content_type = content_type;
}

/* --- what handlers see --- */

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

/* --- answers --- */

struct json_w *
reply_writer(struct op *op)
{
	struct request *r = req_of(op);

	buf_reset(&r->reply);
	json_w_init(&r->writer, &r->reply);
	return &r->writer;
}

enum op_next
reply_json(struct op *op, int status)
{
	struct request *r = req_of(op);

	buf_putc(&r->reply, '\n');
	if (!buf_ok(&r->reply))
		return op_fail(op, RC_INTERNAL, "the answer is too large");
	r->status = status;
	r->content_type = "application/json";
	return op_done(op);
}

enum op_next
reply_status(struct op *op, int status, const char *key, const char *value)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, key, value);
	json_w_close(w, '}');
	return reply_json(op, status);
}

enum op_next
reply_no_content(struct op *op)
{
	request_set_text(req_of(op), 204, NULL, "");
	return op_done(op);
}

enum op_next
reply_bytes(struct op *op, int status, const char *content_type,
    const void *bytes, size_t len)
{
	struct request *r = req_of(op);

	buf_reset(&r->reply);
	buf_add(&r->reply, bytes, len);
	if (!buf_ok(&r->reply))
		return op_fail(op, RC_INTERNAL, "the answer is too large");
	r->status = status;
	r->content_type = content_type;
	return op_done(op);
}

enum op_next
reply_blob(struct op *op, int status, const char *content_type,
    struct blob *body)
{
	struct request *r = req_of(op);

	request_set_text(r, status, content_type, "");
	r->shared = blob_hold(body);
	return op_done(op);
}

/* --- answers in pieces --- */

struct json_w *
reply_begin(struct op *op, int status, const char *content_type)
{
	struct request *r = req_of(op);

	r->status = status;
	r->content_type = content_type;
	return reply_writer(op);
}

/* A route with a longer deadline keeps what is left of it. */
static void
extend_for_piece(struct op *op)
{
	if (op_left_ms(op) < REPLY_PIECE_MS)
		op_extend(op, REPLY_PIECE_MS);
}

static enum op_next
piece_taken(struct op *op)
{
	if (!op_woken(op))
		return op_fail(op, RC_TIMEOUT, "%s", "");
	extend_for_piece(op);
	return req_of(op)->next_piece(op);
}

enum op_next
reply_piece(struct op *op, op_step *next)
{
	struct request *r = req_of(op);
	rc ret;

	if (!buf_ok(&r->reply))
		return op_fail(op, RC_INTERNAL, "the answer is too large");
	ret = r->carrier->send_piece(r);
	r->is_pieces = true;
	if (ret == RC_OK) {
		extend_for_piece(op);
		return op_goto(op, next);
	}
	/* The carrier's own patience with slow readers is shorter. */
	if (op_left_ms(op) < 2 * REPLY_WAIT_MS)
		op_extend(op, 2 * REPLY_WAIT_MS);
	r->next_piece = next;
	return op_park(op, REPLY_WAIT_MS, piece_taken);
}

enum op_next
reply_end(struct op *op)
{
	if (!buf_ok(&req_of(op)->reply))
		return op_fail(op, RC_INTERNAL, "the answer is too large");
	return op_done(op);
}

void
reply_momentary(struct op *op)
{
	req_of(op)->is_momentary = true;
}

void
reply_header(struct op *op, const char *name, const char *value)
{
	request_set_header(req_of(op), name, arena_strdup(op_arena(op), value));
}

void
reply_add_header(struct op *op, const char *name, const char *value)
{
	request_add_header(req_of(op), name, arena_strdup(op_arena(op), value));
}

/* --- pieces --- */

/* The column that the constraint is named for ("<table>_<column><suffix>"),
 * with a colon; "" where it is named otherwise.  A constraint's own name is
 * ours. */
static const char *
column_of(struct op *op, const struct db_error *e, const char *suffix)
{
	size_t table = strlen(e->table), all = strlen(e->constraint);
	size_t end = strlen(suffix);

	if (table == 0 || all <= table + 1 + end ||
	    strncmp(e->constraint, e->table, table) != 0 ||
	    strcmp(e->constraint + all - end, suffix) != 0)
		return "";
	return op_printf(op, "%.*s: ", (int)(all - table - 1 - end),
	    e->constraint + table + 1);
}

enum op_next
reply_db_error(struct op *op, const char *duplicate_text)
{
	const struct db_error *e = NULL;
	rc code = op_caught(op, &e);

	if (!e || !e->sqlstate[0])
		return op_fail(op, code, "%s", "");
	if (strcmp(e->sqlstate, "23505") == 0)
		return op_fail(op, RC_CONFLICT, "%s", duplicate_text);
	if (strcmp(e->sqlstate, "23503") == 0)
		return op_fail(op, RC_INVALID,
		    "%swhat it refers to does not exist, or is still in use",
		    column_of(op, e, "_fkey"));
	if (strcmp(e->sqlstate, "23514") == 0 ||
	    strcmp(e->sqlstate, "23502") == 0)
		return op_fail(op, RC_INVALID, "%sa value is not allowed",
		    column_of(op, e, "_check"));
	if (strncmp(e->sqlstate, "22", 2) == 0)
		return op_fail(op, RC_INVALID, "a value is not allowed");
	if (strcmp(e->sqlstate, "55P03") == 0)
		return op_fail(op, code, OP_HELD_WORDS);
	return op_fail(op, code, "%s", "");
}

static void
write_list(struct json_w *w, const char *key, const char *const *items)
{
	if (!items || !items[0])
		return;
	json_w_key(w, key);
	json_w_open(w, '[');
	for (size_t i = 0; items[i]; i++)
		json_w_str(w, items[i]);
	json_w_close(w, ']');
}

static void
send_hint(struct op *op, int njobs, const char *const *issuers,
    const char *const *agents, const char *due_after)
{
	struct buf b;
	struct json_w w;

	buf_init(&b, 128 * 1024);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv_int(&w, "jobs", njobs);
	write_list(&w, "issuers", issuers);
	write_list(&w, "agents", agents);
	if (due_after)
		json_w_kv(&w, "due_after", due_after);
	json_w_close(&w, '}');
	if (buf_ok(&b))
		api_hint(req_api(op), b.data, b.len);
	buf_fini(&b);
}

void
req_hint(struct op *op, int njobs, const char *const *issuers,
    const char *const *agents)
{
	send_hint(op, njobs, issuers, agents, NULL);
	/* Ours need not wait for the way through the scheduler. */
	for (size_t i = 0; agents && agents[i]; i++)
		park_wake(req_api(op)->park, PARK_AGENT, agents[i]);
}

void
req_hint_due(struct op *op, const char *issuer_id, const char *due_after)
{
	const char *issuers[] = {issuer_id, NULL};

	send_hint(op, 1, issuers, NULL, due_after);
}
