/*
 * answer: what a receiver's answer to a message means, and what people are
 * told of it.  The same for all channels; nothing of it is believed or shown
 * as it came.
 */
#ifndef WORKER_NOTIFIERS_ANSWER_H
#define WORKER_NOTIFIERS_ANSWER_H

#include <stdint.h>

#include "worker/notifiers/notifier.h"

/* How a call ended: see http_done_fn. */
struct answer_end {
	rc code;
	int status;       /* 0: there is none */
	const char *body; /* never NULL */
	const char *error;
	int64_t retry_after_s; /* 0: not said */
};

/* The words lie in the arena, and hold none of the call's secrets. */
struct notifier_answer answer_read(struct arena *a,
    const struct notifier_call *c, const struct answer_end *end);

#endif
