/*
 * auth: a presented credential becomes a principal.
 *
 * Keys of the environment answer at once.  Keys of the database (api_keys and
 * agents' own) are looked up by their SHA-256.  Those of api_keys are believed
 * for less than a second, agents' for five, unknown ones for one; so a key that
 * was revoked works that long at most, and not at all in the process that
 * revoked it.  That a key was good is remembered for an hour: its next look-up
 * is no guess.  Call from the event loop only.
 */
#ifndef APISERVER_POLICY_AUTH_H
#define APISERVER_POLICY_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "apiserver/edge/request.h"
#include "apiserver/policy/keyring.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/loop/loop.h"

struct auth;

enum auth_form { AUTH_NONE, AUTH_MALFORMED, AUTH_KEY };

/* What the request presented: the key's hash, never the key. */
struct credential {
	enum auth_form form;
	char hash[65];
};

/* The principal of a credential; id lives as long as auth remembers it, so
 * the caller copies it. */
struct auth_found {
	struct principal principal;
	bool is_retired; /* an agent's own key, and the agent was retired */
};

/* keys outlives auth. */
struct auth *auth_new(struct loop *l, const struct keyring *keys);
void auth_free(struct auth *a);
/* Other keys from here on; they outlive auth, the old ones need not. */
void auth_set_keys(struct auth *a, const struct keyring *keys);
/* header: the Authorization header, or NULL. */
void auth_read(const char *header, struct credential *out);
/* RC_OK; RC_UNAUTHENTICATED: known not to be a key; RC_BUSY: only the
 * database knows: ask Q_AUTH_BY_HASH and tell auth_learn. */
rc auth_find(struct auth *a, const struct credential *c,
    struct auth_found *out) MUST_CHECK;
/* Whether the key was one when it was looked up last, an hour ago at most. */
bool auth_was_good(struct auth *a, const struct credential *c);
/* How often keys were changed here: noted before Q_AUTH_BY_HASH is asked, whose
 * result tells nothing of a change that came meanwhile. */
uint64_t auth_changes(const struct auth *a);
/* result: of Q_AUTH_BY_HASH; changes: at the time it was asked.  The next
 * auth_find is RC_BUSY when that has passed. */
void auth_learn(struct auth *a, const struct credential *c,
    const struct db_result *result, uint64_t changes);
/* This process changed keys: all are looked up anew. */
void auth_changed(struct auth *a);
/* The key was just registered, or revoked, by this process. */
void auth_forget(struct auth *a, const char *hash);

#endif
