/*
 * acme: the accounts of ACME clients, and what they order.
 */
#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "common/json/json.h"

#define ACCOUNTS "/api/v1/acme/accounts"
#define ORDERS "/api/v1/acme/orders"

/* --- accounts --- */

static const char *const account_members[] = {"id", "status", "profile_id",
    "owner_id", "contact", "key_thumbprint", "eab_key_id", "terms_agreed_at",
    "certificates", "orders_pending", "orders_ready", "orders_processing",
    "orders_valid", "orders_invalid", "last_order_id", "last_order_at",
    "created_at", "updated_at"};

int
cmd_acme_accounts_list(struct cli *c)
{
	static const struct option options[] = {
	    {"--profile-id", "profile_id"},
	    {"--status", "status"},
	    {"--owner-id", "owner_id"},
	    {"--page", "page"},
	    {"--per-page", "per_page"},
	};
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"STATUS", "status", COLUMN_TEXT},
	    {"PROFILE", "profile_id", COLUMN_TEXT},
	    {"OWNER", "owner_id", COLUMN_TEXT},
	    {"CONTACT", "contact", COLUMN_TEXT},
	    {"CREATED", "created_at", COLUMN_TIME},
	};
	const char *path = show_query(c, ACCOUNTS, options, ARRAY_LEN(options));

	return show_rows(c, path, columns, ARRAY_LEN(columns));
}

int
cmd_acme_accounts_get(struct cli *c)
{
	return show_object(c, client_path(c, ACCOUNTS, ""), account_members,
	    ARRAY_LEN(account_members));
}

int
cmd_acme_accounts_revoke(struct cli *c)
{
	struct answer a;
	struct json_w w;
	struct buf body;
	int exit_code;

	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_kv_opt(&w, "reason", args_value(c, "--reason"));
	json_w_close(&w, '}');
	a = client_call(c, "POST", client_path(c, ACCOUNTS, "/revoke"),
	    buf_cstr(&body));
	buf_fini(&body);
	exit_code = client_check_json(c, &a);
	return exit_code == EXIT_DONE
		   ? show_done(c, &a,
			 "revoked: nothing that it signs is obeyed any more; "
			 "its certificates stay")
		   : exit_code;
}

/* --- orders --- */

int
cmd_acme_orders_list(struct cli *c)
{
	static const struct option options[] = {
	    {"--account-id", "account_id"},
	    {"--status", "status"},
	    {"--certificate-id", "certificate_id"},
	    {"--page", "page"},
	    {"--per-page", "per_page"},
	};
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"STATUS", "status", COLUMN_TEXT},
	    {"ACCOUNT", "account_id", COLUMN_TEXT},
	    {"CERTIFICATE", "certificate_id", COLUMN_TEXT},
	    {"CREATED", "created_at", COLUMN_TIME},
	    {"EXPIRES", "expires_at", COLUMN_TIME},
	    {"ERROR", "error", COLUMN_TEXT},
	};
	const char *path = show_query(c, ORDERS, options, ARRAY_LEN(options));

	return show_rows(c, path, columns, ARRAY_LEN(columns));
}

int
cmd_acme_orders_get(struct cli *c)
{
	static const char *const members[] = {"id", "status", "account_id",
	    "profile_id", "identifiers", "error", "certificate_id",
	    "version_id", "job_id", "job_status", "replaces", "authorizations",
	    "expires_at", "created_at", "updated_at"};

	return show_object(c, client_path(c, ORDERS, ""), members,
	    ARRAY_LEN(members));
}
