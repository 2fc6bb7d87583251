/*
 * issuer_limits: what an issuer can't issue, as far as that is known before its
 * CA is asked: by its type, its configuration, and its CA's certificates.
 *
 * As JSON, which issuer_refuses (migrations/code/12_replacements.sql) judges
 * certificates by; a member that is missing limits nothing:
 *
 *	names       kinds of names that it has not: wildcard, ip, email, uri
 *	ekus        what it does not issue for, of profiles' allowed_ekus
 *	keys        algorithms of keys that it refuses
 *	least_life  seconds that a certificate lives at the least
 *	short       its certificates live no longer than that many seconds,
 *which a profile has to allow trees       name constraints: of each CA a list
 *of one,
 *	            {"permitted":[],"excluded":[]}
 */
#ifndef COMMON_ISSUER_ISSUER_LIMITS_H
#define COMMON_ISSUER_ISSUER_LIMITS_H

#include "common/base/arena.h"

/* config: as it is shown, secrets masked; chain_pem: of an own CA, its
 * certificate first; both may be "".  What can't be read limits nothing: the
 * issuer's test and its jobs tell of that.  In the arena. */
const char *issuer_limits_json(struct arena *a, const char *type,
    const char *config, const char *chain_pem);

#endif
