/*
 * acme_memory: what a worker remembers of ACME CAs between two orders, so that
 * each need not ask for it again: the directory, the URL of the account,
 * nonces that were not used yet, and the challenges that it was told of.  All
 * of it can be forgotten at any time.
 *
 * One entry an account: a directory's URL and the thumbprint of a key.
 */
#ifndef WORKER_ISSUERS_ACME_MEMORY_H
#define WORKER_ISSUERS_ACME_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/loop/loop.h"

struct acme_http01;
struct acme_cas; /* defined in acme_memory.c */
struct acme_memory;

/* Never NULL. */
struct acme_cas *acme_cas_new(struct loop *l);
/* NULL is a no-op. */
void acme_cas_free(struct acme_cas *s);
/* The one of this worker. */
struct acme_http01 *acme_cas_http01(struct acme_cas *s);

/* That of the account, made where there is none; it may be forgotten by the
 * next turn of the loop. */
struct acme_memory *acme_memory_of(struct acme_cas *s,
    const char *directory_url, const char *thumbprint);
/* NULL: not known, or too old. */
const char *acme_memory_directory(const struct acme_memory *m);
void acme_memory_keep_directory(struct acme_memory *m, const char *text);
/* NULL: not known. */
const char *acme_memory_account(const struct acme_memory *m);
/* NULL: it is not what it was. */
void acme_memory_keep_account(struct acme_memory *m, const char *url);
void acme_memory_keep_nonce(struct acme_memory *m, const char *nonce);
/* The CA was told that the answer to the challenge of that URL is in place. */
void acme_memory_keep_told(struct acme_memory *m, const char *url);
/* How long ago; INT64_MAX: not known. */
int64_t acme_memory_told_ms(const struct acme_memory *m, const char *url);
/* In the arena, to be used once; NULL: none is left. */
const char *acme_memory_take_nonce(struct acme_memory *m, struct arena *a);

#endif
