#include "apiserver/edge/request_io.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/log/log.h"

enum { REPLY_MAX = 128 * 1024 * 1024 };

/* A UUID (RFC 9562 version 4); not rand_uuid, for its vsnprintf. */
static void
next_id(char out[37])
{
	char hex[33];
	uint8_t u[16];

	rand_bytes(u, sizeof(u));
	u[6] = (uint8_t)((u[6] & 0x0f) | 0x40);
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
