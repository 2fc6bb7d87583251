#include "common/bus/frame.h"

#include <stdlib.h>

#include "tests/unit/check.h"

static const struct frame sample = {
    .kind = FRAME_WORK,
    .term = 0x0102030405060708,
    .request_id = 0xfffefdfcfbfaf9f8,
    .body = "{\"room\":3}",
    .body_len = 10,
};

static void
test_layout(void)
{
	static const unsigned char want[] = "CB\x01\x02"
					    "\x01\x02\x03\x04\x05\x06\x07\x08"
					    "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8"
					    "\x00\x00\x00\x0a"
					    "{\"room\":3}";
	struct buf b;

	buf_init(&b, 0);
	CHECK_INT(frame_encode(&sample, &b), RC_OK);
	CHECK_INT(b.len, FRAME_HEADER_LEN + 10);
	CHECK(memcmp(b.data, want, b.len) == 0);
	buf_fini(&b);
}

static void
test_round_trip(void)
{
	struct frame f;
	struct buf b;

	buf_init(&b, 0);
	CHECK_INT(frame_encode(&sample, &b), RC_OK);
	CHECK_INT(frame_decode((uint8_t *)b.data, b.len, &f), RC_OK);
	CHECK_INT(f.kind, FRAME_WORK);
	CHECK(f.term == sample.term);
	CHECK(f.request_id == sample.request_id);
	CHECK_INT(f.body_len, 10);
	CHECK(memcmp(f.body, sample.body, 10) == 0);
	buf_fini(&b);
}

static void
test_empty_body(void)
{
	struct frame in = {.kind = FRAME_UNKNOWN}, f;
	struct buf b;

	buf_init(&b, 0);
	CHECK_INT(frame_encode(&in, &b), RC_OK);
	CHECK_INT(b.len, FRAME_HEADER_LEN);
	CHECK_INT(frame_decode((uint8_t *)b.data, b.len, &f), RC_OK);
	CHECK_INT(f.body_len, 0);
	buf_fini(&b);
}

/* Unknown kinds are for the reader of the frame to answer. */
static void
test_unknown_kind_decodes(void)
{
	struct frame in = {.kind = 200}, f;
	struct buf b;

	buf_init(&b, 0);
	CHECK_INT(frame_encode(&in, &b), RC_OK);
	CHECK_INT(frame_decode((uint8_t *)b.data, b.len, &f), RC_OK);
	CHECK_INT(f.kind, 200);
	buf_fini(&b);
}

static void
test_refuses(void)
{
	uint8_t bytes[64] = {0};
	struct frame f;
	struct buf b;
	size_t len;

	buf_init(&b, 0);
	CHECK_INT(frame_encode(&sample, &b), RC_OK);
	len = b.len;
	/* Every shorter length, each on its own allocation for the
	 * sanitizer, and one byte too many. */
	for (size_t n = 0; n < len; n++) {
		uint8_t *cut = malloc(n ? n : 1);

		CHECK(cut);
		memcpy(cut, b.data, n);
		CHECK_INT(frame_decode(cut, n, &f), RC_INVALID);
		free(cut);
	}
	memcpy(bytes, b.data, len);
	bytes[len] = '}';
	CHECK_INT(frame_decode(bytes, len + 1, &f), RC_INVALID);

	for (size_t i = 0; i < 3; i++) {
		memcpy(bytes, b.data, len);
		bytes[i] ^= 0x40; /* magic and version */
		CHECK_INT(frame_decode(bytes, len, &f), RC_INVALID);
	}
	memcpy(bytes, b.data, len);
	bytes[20] = 0xff; /* a length of 4 GB */
	CHECK_INT(frame_decode(bytes, len, &f), RC_INVALID);
	buf_fini(&b);
}

static void
test_body_limit(void)
{
	char *body = calloc(1, FRAME_BODY_MAX + 1);
	struct frame in = {.kind = FRAME_EVENT, .body = body}, f;
	struct buf b;

	CHECK(body);
	buf_init(&b, 0);
	in.body_len = FRAME_BODY_MAX + 1;
	CHECK_INT(frame_encode(&in, &b), RC_TOO_LARGE);
	CHECK_INT(b.len, 0);
	in.body_len = FRAME_BODY_MAX;
	CHECK_INT(frame_encode(&in, &b), RC_OK);
	CHECK_INT(frame_decode((uint8_t *)b.data, b.len, &f), RC_OK);
	CHECK_INT(f.body_len, FRAME_BODY_MAX);
	buf_fini(&b);
	free(body);
}

static void
test_kind_names(void)
{
	CHECK_STR(frame_kind_name(FRAME_WORK), "work");
	CHECK_STR(frame_kind_name(FRAME_EVENT), "event");
	CHECK_STR(frame_kind_name(FRAME_KIND_COUNT), "unknown");
	CHECK_STR(frame_kind_name(255), "unknown");
}

CHECK_MAIN(CHECK_ROW(test_layout), CHECK_ROW(test_round_trip),
    CHECK_ROW(test_empty_body), CHECK_ROW(test_unknown_kind_decodes),
    CHECK_ROW(test_refuses), CHECK_ROW(test_body_limit),
    CHECK_ROW(test_kind_names))
