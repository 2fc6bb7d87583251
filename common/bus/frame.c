#include "common/bus/frame.h"

#include <string.h>

static const char *const kind_names[FRAME_KIND_COUNT] = {
    [FRAME_UNKNOWN] = "unknown",
    [FRAME_HINT] = "hint",
    [FRAME_WORK] = "work",
    [FRAME_WORK_REPLY] = "work-reply",
    [FRAME_BEAT] = "beat",
    [FRAME_EVENT] = "event",
    [FRAME_HELLO] = "hello",
};

static uint64_t
get_be(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static void
put_be(uint8_t *p, size_t n, uint64_t v)
{
	for (size_t i = n; i > 0; i--) {
		p[i - 1] = (uint8_t)(v & 0xff);
		v >>= 8;
	}
}

rc
frame_decode(const uint8_t *bytes, size_t len, struct frame *out)
{
	size_t body_len;

	if (len < FRAME_HEADER_LEN || len > FRAME_HEADER_LEN + FRAME_BODY_MAX)
		return RC_INVALID;
	if (bytes[0] != 'C' || bytes[1] != 'B' || bytes[2] != FRAME_VERSION)
		return RC_INVALID;
	body_len = (size_t)get_be(bytes + 20, 4);
	/* Exactly: a cut frame and one with something behind it are refused. */
	if (body_len != len - FRAME_HEADER_LEN)
		return RC_INVALID;

	out->kind = bytes[3];
	out->term = get_be(bytes + 4, 8);
	out->request_id = get_be(bytes + 12, 8);
	out->body = (const char *)bytes + FRAME_HEADER_LEN;
	out->body_len = body_len;
	return RC_OK;
}

rc
frame_encode(const struct frame *f, struct buf *out)
{
	uint8_t head[FRAME_HEADER_LEN];

	if (f->body_len > FRAME_BODY_MAX)
		return RC_TOO_LARGE;
	head[0] = 'C';
	head[1] = 'B';
	head[2] = FRAME_VERSION;
	head[3] = f->kind;
	put_be(head + 4, 8, f->term);
	put_be(head + 12, 8, f->request_id);
	put_be(head + 20, 4, f->body_len);

	buf_add(out, head, sizeof(head));
	if (f->body_len > 0)
		buf_add(out, f->body, f->body_len);
	return buf_ok(out) ? RC_OK : RC_TOO_LARGE;
}

const char *
frame_kind_name(uint8_t kind)
{
	return kind < FRAME_KIND_COUNT ? kind_names[kind] : "unknown";
}
