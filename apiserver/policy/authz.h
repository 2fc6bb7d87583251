/*
 * authz: may this principal do that?
 *
 * Administrators may do everything.  What others hold comes from actor_roles
 * and role_permissions and is remembered for less than a second, or until this
 * process changes them; agents' own keys hold the agent role.  Who is not found
 * to hold a permission is refused.
 */
#ifndef APISERVER_POLICY_AUTHZ_H
#define APISERVER_POLICY_AUTHZ_H

#include <stdint.h>

#include "apiserver/edge/request.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/db/db.h"
#include "common/loop/loop.h"

/* Of a key that the environment names, until it is given roles. */
#define AUTHZ_FALLBACK_ROLE "r-viewer"

struct authz; /* defined in authz.c */

struct authz *authz_new(struct loop *l);
void authz_free(struct authz *z);

/* The parameters of Q_AUTHZ_PERMISSIONS and Q_AUTH_ROLES. */
struct authz_actor {
	const char *id;
	const char *type;
	const char *fallback_role; /* NULL: none */
};
void authz_actor(const struct principal *p, struct authz_actor *out);

/*
 * scope: "issuer" or "profile" where the request names one, id, and a grant
 * limited to that one counts; else NULL.  RC_OK: allowed; RC_FORBIDDEN;
 * RC_BUSY: ask Q_AUTHZ_PERMISSIONS and tell authz_learn.
 */
rc authz_check(struct authz *z, const struct principal *p,
    const char *permission, const char *scope, const char *id) MUST_CHECK;
/* As auth_changes, auth_learn and auth_changed, of roles and grants. */
uint64_t authz_changes(const struct authz *z);
void authz_learn(struct authz *z, const struct principal *p,
    const struct db_result *result, uint64_t changes);
void authz_changed(struct authz *z);

#endif
