/*
 * Routes of ACME clients, each below /acme/profile/{profile}/ and below /acme/
 * for the profile that the configuration names.
 */
#include "apiserver/handlers/acme/acme.h"
#include "apiserver/handlers/acme/keys.h"
#include "apiserver/handlers/acme/orders.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define BOTH(method, path, ...) \
	{method, "/acme" path, NULL, __VA_ARGS__}, \
	{ \
		method, "/acme/profile/{profile}" path, NULL, __VA_ARGS__ \
	}
#define ACME_GET(path, step) BOTH("GET", path, step)
/* audit: the events that a success leaves, or ROUTE_NO_EVENT. */
#define ACME_POST(path, step, audit) BOTH("POST", path, step, audit)

/* clang-format off */
static const struct route rows[] = {
    ACME_GET("/directory", acme_directory_start),
    ACME_POST("/directory", acme_directory_post_start, ROUTE_NO_EVENT),
    ACME_GET("/new-nonce", acme_new_nonce_start),
    ACME_POST("/new-nonce", acme_new_nonce_post_start, ROUTE_NO_EVENT),
    ACME_POST("/new-account", acme_new_account_start,
	"acme_account_created acme_eab_key_used"),
    ACME_POST("/account/{id}", acme_account_start,
	"acme_account_updated acme_account_deactivated"),
    ACME_POST("/account/{id}/orders", acme_orders_list_start, ROUTE_NO_EVENT),
    ACME_POST("/new-order", acme_new_order_start, "acme_order_created"),
    ACME_POST("/order/{id}", acme_order_start, ROUTE_NO_EVENT),
    ACME_POST("/order/{id}/finalize", acme_finalize_start,
	"acme_order_processing"),
    ACME_POST("/authz/{id}", acme_authz_start,
	"acme_authorization_deactivated"),
    ACME_POST("/challenge/{id}", acme_challenge_start,
	"acme_challenge_processing"),
    ACME_POST("/cert/{id}", acme_cert_start, ROUTE_NO_EVENT),
    ACME_POST("/cert/{id}/{chain}", acme_cert_chain_start, ROUTE_NO_EVENT),
    ACME_POST("/key-change", acme_key_change_start, "acme_account_key_changed"),
    ACME_POST("/revoke-cert", acme_revoke_start,
	"certificate_revoked certificate_version_revoked"),
    ACME_GET("/renewal-info/{certid:certid}", acme_renewal_info_start),
};
/* clang-format on */

const struct route_area routes_acme = {
    .name = "acme",
    .prefix = "/acme/",
    .rules = {.access = ROUTE_PUBLIC,
	.renderer = &render_acme,
	.body = ROUTE_SIGNED_BODY,
	.rate = ROUTE_RATED,
	.preflight = ROUTE_NO_PREFLIGHT,
	.head = ROUTE_HEAD,
	.deadline_ms = 30000},
    .routes = rows,
    .n = ARRAY_LEN(rows),
};
