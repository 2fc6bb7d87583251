/*
 * auth: a presented credential becomes a principal.
 *
 * Keys of the environment answer at once.  Keys of the database (api_keys and
 * agents' own) are looked up by their SHA-256 and believed for five seconds,
 * unknown ones for one; so a key that was revoked works that long at most.
 * That a key was good is remembered for an hour: its next look-up is no
 * guess.  Call from the event loop only.
 */
#ifndef APISERVER_POLICY_AUTH_H
#define APISERVER_POLICY_AUTH_H

#include <stdbool.h>

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
/* result: of Q_AUTH_BY_HASH. */
void auth_learn(struct auth *a, const struct credential *c,
    const struct db_result *result);
/* The key was just registered, or revoked, by this process. */
void auth_forget(struct auth *a, const char *hash);

#endif
