/*
 * stream: server-sent events, a line at a time (WHATWG HTML, section 9.2.6).
 */
#ifndef CLI_STREAM_H
#define CLI_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"

#define STREAM_ID_MAX 128

struct stream {
	/* One event; false: no more of them. */
	bool (*take)(void *arg, const char *data);
	void *arg;
	char last_id[STREAM_ID_MAX]; /* of what came whole; "" : none */
	size_t nblocks; /* that came whole, also those without an event */
	/* of what is coming */
	char id[STREAM_ID_MAX];
	bool has_id;
	struct buf line, data;
};

void stream_init(struct stream *s, bool (*take)(void *arg, const char *data),
    void *arg);
void stream_fini(struct stream *s);
/* Another answer begins; last_id stays. */
void stream_begin(struct stream *s);
/* False: take said so, or a line is longer than any of ours. */
bool stream_bytes(struct stream *s, const char *bytes, size_t n);

#endif
