/*
 * count: how many of something, as one says it: "1 wave", "2 waves".
 */
#ifndef CLI_COUNT_H
#define CLI_COUNT_H

#include <stdint.h>

#include "common/base/arena.h"

/* In the arena. */
const char *count_of(struct arena *a, int64_t n, const char *one,
    const char *many);
/* The same of a number as the API's answer has it. */
const char *count_text(struct arena *a, const char *number, const char *one,
    const char *many);

#endif
