/*
 * vault_token: tokens of Vault that are kept alive.
 *
 * A token of Vault ends when its time to live (TTL) is over, unless it is
 * renewed before.  Who asks Vault anything hands its token over here, and it is
 * renewed when half of what Vault granted is over, again and again, for as long
 * as this process lives and Vault renews it.  One that is not renewable is left
 * alone.  Each worker renews by itself: a renewal more does no harm.
 *
 * Call from the event loop only.
 */
#ifndef WORKER_ISSUERS_VAULT_TOKEN_H
#define WORKER_ISSUERS_VAULT_TOKEN_H

#include "common/db/db.h"
#include "common/http/http_out.h"
#include "common/loop/loop.h"

struct vault_tokens; /* defined in vault_token.c */

/* A NULL http_out: none is renewed.  Renewals are counted by the pool. */
struct vault_tokens *vault_tokens_new(struct loop *l, struct http_out *http,
    struct db_pool *pool);
/* NULL is a no-op. */
void vault_tokens_free(struct vault_tokens *s);

/* From now on; nothing, where it is kept already.  base_url: with /v1, without
 * a "/" at its end; headers: by which Vault knows us, copied; one of them is
 * X-Vault-Token. */
void vault_tokens_keep(struct vault_tokens *s, const char *base_url,
    const struct http_header *headers);

#endif
