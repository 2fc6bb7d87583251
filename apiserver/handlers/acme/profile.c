#include "apiserver/handlers/acme/profile.h"

#include <string.h>

#include "apiserver/api.h"
#include "apiserver/handlers/acme/answer.h"

/* A profile's own number, else the server's. */
static int64_t
limit_of(struct op *op, const struct db_result *rows, size_t i,
    const char *column, const char *setting)
{
	int col = db_col(rows, column);

	return db_is_null(rows, i, col) ? cfg_int(req_api(op)->cfg, setting)
					: db_i64(rows, i, col);
}

/* NULL, or what whoever runs the server has to do. */
static const char *
missing(const struct db_result *rows, size_t i)
{
	if (!db_bool(rows, i, db_col(rows, "enabled")))
		return "it is switched off; have enabled set";
	if (db_is_null(rows, i, db_col(rows, "issuer_id")))
		return "it names no issuer; have issuer_id set";
	if (db_is_null(rows, i, db_col(rows, "acme_owner_id")))
		return "it says not whose the certificates are; have "
		       "acme_owner_id set";
	if (db_is_null(rows, i, db_col(rows, "policy_id")))
		return "it names no renewal policy, and the default one was "
		       "deleted; have acme_renewal_policy_id set";
	if (!db_bool(rows, i, db_col(rows, "issuer_enabled")))
		return "its issuer is switched off; have that enabled";
	return NULL;
}

bool
acme_profile_read(struct op *op, const struct db_result *rows, size_t i,
    struct acme_settings *out, enum op_next *out_next)
{
	const struct cfg *cfg = req_api(op)->cfg;
	const char *why;
	int eab;

	if (i >= db_nrows(rows) ||
	    db_is_null(rows, i, db_col(rows, "enabled"))) {
		*out_next =
		    acme_problem_status(op, ACME_USER_ACTION_REQUIRED, 404,
			"there is no profile %s: ask whoever runs this server "
			"for the address of the directory",
			acme_profile(op));
		return false;
	}
	why = missing(rows, i);
	if (why) {
		*out_next = acme_problem(op, ACME_USER_ACTION_REQUIRED,
		    "the profile %s does not serve ACME: %s", acme_profile(op),
		    why);
		return false;
	}
	eab = db_col(rows, "acme_eab_required");
	out->issuer_id = db_text_copy(op_arena(op), rows, i, "issuer_id");
	out->owner_id = db_text_copy(op_arena(op), rows, i, "acme_owner_id");
	out->policy_id = db_text_copy(op_arena(op), rows, i, "policy_id");
	out->is_challenged =
	    strcmp(db_text(rows, i, db_col(rows, "acme_auth_mode")),
		"challenge") == 0;
	out->needs_eab = db_is_null(rows, i, eab)
			     ? cfg_bool(cfg, "acme_server_eab_required")
			     : db_bool(rows, i, eab);
	out->orders_per_hour = limit_of(op, rows, i, "orders_per_hour",
	    "acme_server_rate_limit_orders_per_hour");
	out->concurrent_orders = limit_of(op, rows, i, "concurrent_orders",
	    "acme_server_rate_limit_concurrent_orders");
	out->key_changes_per_hour =
	    limit_of(op, rows, i, "key_changes_per_hour",
		"acme_server_rate_limit_key_change_per_hour");
	out->challenge_responses_per_hour =
	    limit_of(op, rows, i, "challenge_responses_per_hour",
		"acme_server_rate_limit_challenge_responds_per_hour");
	return true;
}
