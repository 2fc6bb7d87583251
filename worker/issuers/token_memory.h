/*
 * token_memory: the access tokens that a worker was given for its issuers, so
 * that each question need not ask for one.  All of it can be forgotten at any
 * time; texts are wiped.
 *
 * Event loop only.
 */
#ifndef WORKER_ISSUERS_TOKEN_MEMORY_H
#define WORKER_ISSUERS_TOKEN_MEMORY_H

#include <stdint.h>

#include "common/base/arena.h"
#include "common/loop/loop.h"

struct token_memory; /* defined in token_memory.c */

/* Never NULL. */
struct token_memory *token_memory_new(struct loop *l);
/* NULL is a no-op. */
void token_memory_free(struct token_memory *m);
/* By what it was given for, 64 characters of hex: a copy in the arena, wiped
 * with it; NULL: none is known that is good still. */
const char *token_memory_get(struct token_memory *m, struct arena *a,
    const char *key);
/* It replaces the one of that key; nothing is kept for less than a second. */
void token_memory_keep(struct token_memory *m, const char *key,
    const char *token, int64_t seconds);
void token_memory_forget(struct token_memory *m, const char *key);

#endif
