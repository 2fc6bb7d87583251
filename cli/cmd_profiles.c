/*
 * profiles: what certificates may be, and how ACME clients are served by them.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "common/json/json.h"

#define PROFILES "/api/v1/profiles"

static const char *const members[] = {"id", "name", "description", "enabled",
    "requires_approval", "max_ttl_seconds", "allow_short_lived", "must_staple",
    "allowed_key_algorithms", "allowed_ekus", "required_san_patterns",
    "spiffe_uri_pattern", "required_csr_attributes", "acme_auth_mode",
    "issuer_id", "acme_owner_id", "acme_renewal_policy_id", "acme_eab_required",
    "acme_limits", "created_at", "updated_at"};

int
cmd_profiles_list(struct cli *c)
{
	static const struct option options[] = {
	    {"--page", "page"},
	    {"--per-page", "per_page"},
	};
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"NAME", "name", COLUMN_TEXT},
	    {"ENABLED", "enabled", COLUMN_TEXT},
	    {"ACME", "acme_auth_mode", COLUMN_TEXT},
	    {"ISSUER", "issuer_id", COLUMN_TEXT},
	    {"OWNER", "acme_owner_id", COLUMN_TEXT},
	};
	const char *path = show_query(c, PROFILES, options, ARRAY_LEN(options));

	return show_rows(c, path, columns, ARRAY_LEN(columns));
}

int
cmd_profiles_get(struct cli *c)
{
	return show_object(c, client_path(c, PROFILES, ""), members,
	    ARRAY_LEN(members));
}

/* --- create and update --- */

/* The usage has seen that a number is one, and a flag true or false.  No id is
 * "-": it stands for none. */
enum form { TEXT, NUMBER, FLAG, REFERENCE };

struct given {
	const char *flag;
	const char *member;
	enum form form;
};

static const struct given givens[] = {
    {"--description", "description", TEXT},
    {"--enabled", "enabled", FLAG},
    {"--requires-approval", "requires_approval", FLAG},
    {"--max-ttl-seconds", "max_ttl_seconds", NUMBER},
    {"--allow-short-lived", "allow_short_lived", FLAG},
    {"--acme-auth-mode", "acme_auth_mode", TEXT},
    {"--issuer-id", "issuer_id", REFERENCE},
    {"--acme-owner-id", "acme_owner_id", REFERENCE},
    {"--acme-renewal-policy-id", "acme_renewal_policy_id", REFERENCE},
};

static const struct given limits[] = {
    {"--acme-orders-per-hour", "orders_per_hour", NUMBER},
    {"--acme-concurrent-orders", "concurrent_orders", NUMBER},
    {"--acme-key-changes-per-hour", "key_changes_per_hour", NUMBER},
    {"--acme-challenge-responses-per-hour", "challenge_responses_per_hour",
	NUMBER},
};

static void
put(struct json_w *w, const struct given *g, const char *value)
{
	if (g->form == NUMBER) {
		json_w_kv_int(w, g->member, strtoll(value, NULL, 10));
	} else if (g->form == FLAG) {
		json_w_kv_bool(w, g->member, strcmp(value, "true") == 0);
	} else if (g->form == REFERENCE && strcmp(value, "-") == 0) {
		json_w_key(w, g->member);
		json_w_null(w);
	} else {
		json_w_kv(w, g->member, value);
	}
}

static void
put_given(struct cli *c, struct json_w *w, const struct given *all, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *value = args_value(c, all[i].flag);

		if (value != NULL)
			put(w, &all[i], value);
	}
}

/* server: as the apiserver's settings say. */
static void
put_eab(struct cli *c, struct json_w *w)
{
	const char *value = args_value(c, "--acme-eab-required");

	if (value == NULL)
		return;
	json_w_key(w, "acme_eab_required");
	if (strcmp(value, "server") == 0)
		json_w_null(w);
	else
		json_w_bool(w, strcmp(value, "true") == 0);
}

/* One replaces them all, as the API has it. */
static void
put_limits(struct cli *c, struct json_w *w)
{
	bool is_given = args_flag(c, "--acme-server-limits");

	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		is_given = is_given || args_value(c, limits[i].flag) != NULL;
	if (!is_given)
		return;
	json_w_key(w, "acme_limits");
	json_w_open(w, '{');
	put_given(c, w, limits, ARRAY_LEN(limits));
	json_w_close(w, '}');
}

static int
write_profile(struct cli *c, const char *method, const char *path,
    const char *id, const char *name)
{
	struct answer a;
	struct json_w w;
	struct buf body;
	int exit_code;

	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_kv_opt(&w, "id", id);
	json_w_kv_opt(&w, "name", name);
	put_given(c, &w, givens, ARRAY_LEN(givens));
	put_eab(c, &w);
	put_limits(c, &w);
	json_w_close(&w, '}');
	a = client_call(c, method, path, buf_cstr(&body));
	buf_fini(&body);
	exit_code = client_check_json(c, &a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (json_get(a.json, "pending_approval_id") != NULL)
		return show_done(c, &a,
		    arena_printf(c->arena,
			"nothing is changed before somebody else approves: "
			"approvals approve %s",
			cell(c, a.json, "pending_approval_id")));
	show_answer(c, &a, members, ARRAY_LEN(members));
	return EXIT_DONE;
}

int
cmd_profiles_create(struct cli *c)
{
	return write_profile(c, "POST", PROFILES, args_value(c, "--id"),
	    args_word(c, 0));
}

int
cmd_profiles_update(struct cli *c)
{
	return write_profile(c, "PUT", client_path(c, PROFILES, ""), NULL,
	    args_value(c, "--name"));
}
