#include "apiserver/policy/auth.h"

#include <stdlib.h>
#include <string.h>

#include "apiserver/live/cache.h"
#include "common/base/enc.h"
#include "common/base/mem.h"

enum {
	/* A change elsewhere counts within a second, look-up and all. */
	KEY_FRESH_MS = 900,
	AGENT_FRESH_MS = 5000,
	/* What was good an hour ago probably is. */
	KNOWN_MS = 3600000,
	UNKNOWN_MS = 1000,
	/* A stranger fills the cache of unknown keys, not that of known ones.
	 */
	KNOWN_MAX = 65536,
	UNKNOWN_MAX = 4096,
	PRESENTED_MAX = 4096, /* bytes of a key we look at */
};

struct holder {
	int64_t fresh_until_ms; /* then the database is asked again */
	uint64_t changes;       /* of keys, when it was asked */
	enum principal_kind kind;
	bool is_admin;
	bool is_retired;
	char id[];
};

struct auth {
	struct loop *loop;
	const struct keyring *keys;
	struct cache *known;
	struct cache *unknown;
	uint64_t changes;
};

struct auth *
auth_new(struct loop *l, const struct keyring *keys)
{
	struct auth *a = mem_zalloc(sizeof(*a));

	a->loop = l;
	a->keys = keys;
	a->known = cache_new(KNOWN_MAX, free);
	a->unknown = cache_new(UNKNOWN_MAX, NULL);
	return a;
}

void
auth_set_keys(struct auth *a, const struct keyring *keys)
{
	a->keys = keys;
}

void
auth_free(struct auth *a)
{
	if (!a)
		return;
	cache_free(a->known);
	cache_free(a->unknown);
	free(a);
}

void
auth_read(const char *header, struct credential *out)
{
	size_t len;

	out->form = AUTH_NONE;
	if (!header)
		return;
	out->form = AUTH_MALFORMED;
	if (strncmp(header, "Bearer ", 7) != 0)
		return;
	header += 7;
	len = strnlen(header, PRESENTED_MAX + 1);
	if (len == 0 || len > PRESENTED_MAX || strchr(header, ' '))
		return;
	out->form = AUTH_KEY;
	enc_sha256_hex(header, len, out->hash);
}

rc
auth_find(struct auth *a, const struct credential *c, struct auth_found *out)
{
	int64_t now_ms = loop_now_ms(a->loop);
	struct principal *p = &out->principal;
	const struct holder *h;

	*out = (struct auth_found){0};
	if (c->form != AUTH_KEY)
		return RC_UNAUTHENTICATED;
	if (keyring_find(a->keys, c->hash, &p->id, &p->is_admin)) {
		p->kind = PRINCIPAL_API_KEY;
		p->is_configured = true;
		return RC_OK;
	}
	if (keyring_is_token(a->keys, c->hash)) {
		p->kind = PRINCIPAL_BOOTSTRAP;
		p->id = "agent-bootstrap";
		return RC_OK;
	}
	h = cache_get(a->known, c->hash, now_ms);
	if (h && now_ms < h->fresh_until_ms && h->changes == a->changes) {
		p->kind = h->kind;
		p->id = h->id;
		p->is_admin = h->is_admin;
		out->is_retired = h->is_retired;
		return RC_OK;
	}
	return cache_get(a->unknown, c->hash, now_ms) ? RC_UNAUTHENTICATED
						      : RC_BUSY;
}

bool
auth_was_good(struct auth *a, const struct credential *c)
{
	return c->form == AUTH_KEY &&
	       cache_get(a->known, c->hash, loop_now_ms(a->loop)) != NULL;
}

uint64_t
auth_changes(const struct auth *a)
{
	return a->changes;
}

void
auth_changed(struct auth *a)
{
	a->changes++;
}

void
auth_learn(struct auth *a, const struct credential *c,
    const struct db_result *result, uint64_t changes)
{
	static char mark; /* any address that is not NULL */
	int64_t now_ms = loop_now_ms(a->loop);
	const char *id;
	struct holder *h;

	if (db_nrows(result) == 0) {
		cache_drop(a->known, c->hash);
		if (changes == a->changes)
			cache_put(a->unknown, c->hash, &mark, now_ms,
			    UNKNOWN_MS);
		return;
	}
	id = db_text(result, 0, db_col(result, "id"));
	h = mem_zalloc(sizeof(*h) + strlen(id) + 1);
	h->kind = strcmp(db_text(result, 0, db_col(result, "kind")), "agent")
		      ? PRINCIPAL_API_KEY
		      : PRINCIPAL_AGENT;
	h->fresh_until_ms =
	    now_ms +
	    (h->kind == PRINCIPAL_AGENT ? AGENT_FRESH_MS : KEY_FRESH_MS);
	h->changes = changes;
	h->is_admin = db_bool(result, 0, db_col(result, "is_admin"));
	h->is_retired = db_bool(result, 0, db_col(result, "is_retired"));
	memcpy(h->id, id, strlen(id) + 1);
	cache_put(a->known, c->hash, h, now_ms, KNOWN_MS);
}

void
auth_forget(struct auth *a, const char *hash)
{
	cache_drop(a->known, hash);
	cache_drop(a->unknown, hash);
}
