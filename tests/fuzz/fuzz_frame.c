/*
 * fuzz_frame: bus frames; what decodes must encode to the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/bus/frame.h"
#include "common/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool claim)
{
	if (!claim)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cJSON *v;
	struct arena *a;
	const char *why;
	struct frame f;
	struct buf b;

	if (frame_decode(data, size, &f) != RC_OK)
		return 0;
	must(f.body_len <= FRAME_BODY_MAX);
	must(frame_kind_name(f.kind) != NULL);
	buf_init(&b, 0);
	must(frame_encode(&f, &b) == RC_OK);
	must(b.len == size && memcmp(b.data, data, size) == 0);
	buf_fini(&b);
	/* the body goes to the strict reader next; either answer is fine */
	a = arena_new();
	IGNORE_RESULT(json_parse(a, f.body, f.body_len, &v, &why));
	arena_free(a);
	return 0;
}
