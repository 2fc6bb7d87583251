/*
 * Server-sent events: any bytes, whole and in pieces of any size, are the same
 * events; ids and events are within bounds.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All events, a zero byte behind each. */
static bool
take(void *arg, const char *event)
{
	struct buf *all = arg;

	if (event[0] == '\0') {
		fprintf(stderr, "fuzz_eventstream: an empty event\n");
		abort();
	}
	buf_add(all, event, strlen(event) + 1);
	return true;
}

static bool
read_pieces(const uint8_t *data, size_t size, size_t piece, struct stream *s,
    struct buf *all)
{
	bool goes_on = true;

	buf_init(all, 0);
	stream_init(s, take, all);
	stream_begin(s);
	for (size_t at = 0; goes_on && at < size; at += piece)
		goes_on = stream_bytes(s, (const char *)data + at,
		    piece < size - at ? piece : size - at);
	return goes_on;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream whole, pieces;
	struct buf a, b;
	size_t piece = size > 0 ? data[0] % 7 + 1 : 1;
	bool is_good = read_pieces(data, size, size + 1, &whole, &a);

	if (read_pieces(data, size, piece, &pieces, &b) != is_good ||
	    strlen(whole.last_id) >= STREAM_ID_MAX || a.len != b.len ||
	    (a.len > 0 && memcmp(a.data, b.data, a.len) != 0) ||
	    strcmp(whole.last_id, pieces.last_id) != 0 ||
	    whole.nblocks != pieces.nblocks) {
		fprintf(stderr, "fuzz_eventstream: not the same\n");
		abort();
	}
	stream_fini(&whole);
	stream_fini(&pieces);
	buf_fini(&a);
	buf_fini(&b);
	return 0;
}
