/*
 * Routes of the ACME server's accounts and orders, for operators.  Who may
 * change a profile may end what it lets in.
 */
#include "apiserver/handlers/acme_admin/acme_admin.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define ACCOUNTS "/api/v1/acme/accounts"
#define ORDERS "/api/v1/acme/orders"

static const struct route rows[] = {
    {"GET", ACCOUNTS, "profile.read", acme_account_list},
    {"GET", ACCOUNTS "/{id}", "profile.read", acme_account_get},
    {"POST", ACCOUNTS "/{id}/revoke", "profile.edit", acme_account_revoke,
	"acme_account_revoked"},
    {"GET", ORDERS, "profile.read", acme_order_list},
    {"GET", ORDERS "/{id}", "profile.read", acme_order_get},
};

const struct route_area routes_acme_admin = ROUTE_API_AREA("acme_admin", rows);
