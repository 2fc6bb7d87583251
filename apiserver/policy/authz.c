#include "apiserver/policy/authz.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/live/cache.h"
#include "common/base/mem.h"
#include "common/base/text.h"

enum {
	/* A change elsewhere counts within a second, look-up and all. */
	REMEMBER_MS = 900,
	REMEMBER_MAX = 4096,
	KEY_MAX = 320,   /* actor type, blank, actor id */
	GRANT_MAX = 320, /* permission, '@', scope, ':', id */
};

/* "cert.read", or "issuer.read@issuer:iss-local" where a scope limits it;
 * sorted by bytes, looked up by bisection. */
struct grants {
	uint64_t changes; /* of roles, when the database was asked */
	size_t n;
	char *items[];
};

struct authz {
	struct loop *loop;
	struct cache *actors;
	uint64_t changes;
};

static void
drop_grants(void *value)
{
	struct grants *g = value;

	for (size_t i = 0; i < g->n; i++)
		free(g->items[i]);
	free(g);
}

struct authz *
authz_new(struct loop *l)
{
	struct authz *z = mem_zalloc(sizeof(*z));

	z->loop = l;
	z->actors = cache_new(REMEMBER_MAX, drop_grants);
	return z;
}

void
authz_free(struct authz *z)
{
	if (!z)
		return;
	cache_free(z->actors);
	free(z);
}

void
authz_actor(const struct principal *p, struct authz_actor *out)
{
	/* All agents share one entry: their role is fixed.  A key that the
	 * environment names reads, until it is given roles; one of the
	 * database holds what it was given and no more. */
	if (p->kind == PRINCIPAL_AGENT)
		*out = (struct authz_actor){"", "Agent", "r-agent"};
	else
		*out = (struct authz_actor){p->id, "APIKey",
		    p->is_configured ? AUTHZ_FALLBACK_ROLE : NULL};
}

static void
actor_key(const struct principal *p, char out[KEY_MAX])
{
	struct authz_actor actor;

	authz_actor(p, &actor);
	(void)snprintf(out, KEY_MAX, "%s %s %s", actor.type,
	    actor.fallback_role ? actor.fallback_role : "-", actor.id);
}

static bool
holds(const struct grants *g, const char *item)
{
	return g->n > 0 && bsearch(&item, g->items, g->n, sizeof(g->items[0]),
			       text_compare) != NULL;
}

rc
authz_check(struct authz *z, const struct principal *p, const char *permission,
    const char *scope, const char *id)
{
	const struct grants *g;
	char text[GRANT_MAX > KEY_MAX ? GRANT_MAX : KEY_MAX];
	int len;

	if (p->kind == PRINCIPAL_API_KEY && p->is_admin)
		return RC_OK;
	if (p->kind != PRINCIPAL_API_KEY && p->kind != PRINCIPAL_AGENT)
		return RC_FORBIDDEN;
	actor_key(p, text);
	g = cache_get(z->actors, text, loop_now_ms(z->loop));
	if (!g || g->changes != z->changes)
		return RC_BUSY;
	if (holds(g, permission))
		return RC_OK;
	if (!scope || !id)
		return RC_FORBIDDEN;
	len = snprintf(text, sizeof(text), "%s@%s:%s", permission, scope, id);
	if (len < 0 || (size_t)len >= sizeof(text) || !holds(g, text))
		return RC_FORBIDDEN;
	return RC_OK;
}

static char *
grant_text(const struct db_result *result, size_t row)
{
	const char *name = db_text(result, row, db_col(result, "permission"));
	const char *scope = db_text(result, row, db_col(result, "scope_type"));
	char text[GRANT_MAX];

	if (strcmp(scope, "global") == 0)
		return mem_strdup(name);
	/* One cut short matches nothing: ids are shorter than this. */
	(void)snprintf(text, sizeof(text), "%s@%s:%s", name, scope,
	    db_text(result, row, db_col(result, "scope_id")));
	return mem_strdup(text);
}

uint64_t
authz_changes(const struct authz *z)
{
	return z->changes;
}

void
authz_changed(struct authz *z)
{
	z->changes++;
}

void
authz_learn(struct authz *z, const struct principal *p,
    const struct db_result *result, uint64_t changes)
{
	size_t n = db_nrows(result);
	struct grants *g = mem_zalloc(sizeof(*g) + n * sizeof(g->items[0]));
	char key[KEY_MAX];

	g->changes = changes;
	for (size_t i = 0; i < n; i++)
		g->items[g->n++] = grant_text(result, i);
	/* The database sorts by its collation, we by bytes. */
	if (n > 0)
		qsort(g->items, n, sizeof(g->items[0]), text_compare);
	actor_key(p, key);
	cache_put(z->actors, key, g, loop_now_ms(z->loop), REMEMBER_MS);
}
