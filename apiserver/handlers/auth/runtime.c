/*
 * GET /auth/runtime-config: how signing in is configured, for its page of the
 * dashboard.  Numbers and whether something is set, never what a secret is.
 */
#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/auth/auth.h"
#include "apiserver/policy/keyring.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"

/* The contract's names of what this server has not: empty, or off. */
static const char *const absent[][2] = {
    {"CERTCTL_SESSION_SAMESITE", ""},
    {"CERTCTL_OIDC_BCL_MAX_AGE_SECONDS", ""},
    {"CERTCTL_OIDC_PRELOGIN_REQUIRE_UA", ""},
    {"CERTCTL_OIDC_PRELOGIN_REQUIRE_IP", ""},
    {"CERTCTL_BREAKGLASS_ENABLED", "false"},
    {"CERTCTL_BREAKGLASS_LOCKOUT_THRESHOLD", ""},
    {"CERTCTL_DEMO_MODE_ACK", "false"},
    {"CERTCTL_BOOTSTRAP_OIDC_PROVIDER_ID", ""},
    {"CERTCTL_BOOTSTRAP_ADMIN_GROUPS_COUNT", "0"},
};

static const char *
count_of(struct op *op, const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return op_printf(op, "%zu", n);
}

enum op_next
auth_runtime_config(struct op *op)
{
	const struct api *a = req_api(op);
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_key(w, "runtime_config");
	json_w_open(w, '{');
	json_w_kv(w, "CERTCTL_AUTH_TYPE", cfg_str(a->cfg, "auth_type"));
	json_w_kv(w, "CERTCTL_TRUSTED_PROXIES_COUNT",
	    count_of(op, cfg_list(a->cfg, "trusted_proxies")));
	json_w_kv(w, "CERTCTL_BOOTSTRAP_TOKEN_SET",
	    auth_flag(keyring_has_bootstrap(a->keys)));
	for (size_t i = 0; i < ARRAY_LEN(absent); i++)
		json_w_kv(w, absent[i][0], absent[i][1]);
	json_w_close(w, '}');
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- what the document says of it --- */

static const struct field runtime_fields[] = {
    {"runtime_config", FIELD_CONFIG},
};
const struct shape shape_auth_runtime_config = {
    .does = "Tell the settings of signing in",
    .fields = SHAPE_TABLE(runtime_fields),
};
