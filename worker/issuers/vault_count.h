/*
 * vault_count: how often tokens of Vault were renewed, told to the database,
 * which adds it up for the metrics of all processes.
 *
 * Told a second after it happened, together with what came meanwhile, and again
 * while the database takes it not: a worker that is killed forgets what it did
 * not tell, and of an answer that was lost the same may be counted twice.
 *
 * Call from the event loop only.
 */
#ifndef WORKER_ISSUERS_VAULT_COUNT_H
#define WORKER_ISSUERS_VAULT_COUNT_H

#include "common/db/db.h"
#include "common/loop/loop.h"

enum vault_renewal {
	VAULT_RENEWED,
	VAULT_FAILED,
	VAULT_NOT_RENEWABLE, /* a token that has just been looked at */
	VAULT_NRENEWALS
};

struct vault_count; /* defined in vault_count.c */

struct vault_count *vault_count_new(struct loop *l, struct db_pool *pool);
/* NULL is a no-op. */
void vault_count_free(struct vault_count *c);
void vault_count_add(struct vault_count *c, enum vault_renewal what);

#endif
