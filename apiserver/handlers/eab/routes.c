/*
 * Routes of the keys of external account binding.  Who may edit profiles may
 * make them: that permission also says whether a profile asks for one at all.
 */
#include "apiserver/handlers/eab/eab.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define KEYS "/api/v1/acme/eab-keys"

static const struct route rows[] = {
    {"GET", KEYS, "profile.read", eab_key_list_start},
    {"POST", KEYS, "profile.edit", eab_key_create_start,
	"acme_eab_key_created"},
    {"POST", KEYS "/reseal", "profile.edit", eab_keys_reseal_start,
	"acme_eab_keys_resealed"},
    {"GET", KEYS "/{id}", "profile.read", eab_key_get_start},
    {"POST", KEYS "/{id}/revoke", "profile.edit", eab_key_revoke_start,
	"acme_eab_key_revoked"},
    {"DELETE", KEYS "/{id}", "profile.edit", eab_key_delete_start,
	"acme_eab_key_deleted"},
};

const struct route_area routes_eab = ROUTE_API_AREA("eab", rows);
