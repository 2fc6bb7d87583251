/*
 * samples: the text format 0.0.4 of Prometheus, read.
 *
 * Comments, timestamps and lines that are none are passed over: what is shown
 * of a server is what could be read of it.
 */
#ifndef CLI_TOP_SAMPLES_H
#define CLI_TOP_SAMPLES_H

#include <stddef.h>

#include "common/base/arena.h"

enum { SAMPLES_LABELS = 8, SAMPLES_MAX = 50000 };

struct sample {
	const char *name;
	struct {
		const char *name, *value;
	} labels[SAMPLES_LABELS];
	size_t nlabels;
	double value;
};

/* fn gets each sample for the length of the call; its texts live in the arena.
 * text ends in NUL. */
void samples_read(struct arena *a, const char *text,
    void (*fn)(void *arg, const struct sample *s), void *arg);
/* The label's value; "" where it is none of the sample's. */
const char *samples_label(const struct sample *s, const char *name);

#endif
