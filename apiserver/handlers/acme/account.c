/*
 * POST new-account and account/{id}: accounts are made, found, changed and
 * ended (RFC 8555 section 7.3).
 */
#include <string.h>

#include <cjson/cJSON.h>

#include "apiserver/api.h"
#include "apiserver/edge/outcome.h"
#include "apiserver/handlers/acme/acme.h"
#include "apiserver/handlers/acme/binding.h"
#include "apiserver/handlers/acme/contact.h"
#include "apiserver/handlers/acme/signed.h"
#include "common/json/json.h"

#define EAB "eab_" /* the outcomes of a key that admits nobody */

enum { STATUS_MAX = 64 };

/* What new-account asks for, once it may be made. */
struct wish {
	const char *contact; /* an array of PostgreSQL */
	bool has_agreed;
	const struct jws *binding; /* NULL: none is sent, nor needed */
};

static op_step new_account_signed;
static op_step binding_asked;
static op_step account_made;
static op_step account_signed;
static op_step account_changed;

/* --- the answer --- */

static enum op_next
answer_with(struct op *op, int status, const char *account, const char *state,
    const char *contact, const struct cJSON *binding)
{
	const struct acme_request *r = acme_request(op);
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, "status", state);
	if (strcmp(contact, "[]") != 0)
		json_w_kv_raw(w, "contact", contact);
	json_w_kv(w, "orders",
	    op_printf(op, "%s/account/%s/orders", r->base, account));
	if (binding)
		json_w_kv_raw(w, "externalAccountBinding",
		    json_text(op_arena(op), binding));
	json_w_close(w, '}');
	reply_header(op, "Location",
	    op_printf(op, "%s/account/%s", r->base, account));
	return acme_reply(op, status);
}

static enum op_next
answer(struct op *op, int status, const char *account, const char *state,
    const char *contact)
{
	return answer_with(op, status, account, state, contact, NULL);
}

/* --- new-account --- */

enum op_next
acme_new_account_start(struct op *op)
{
	return acme_signed(op, ACME_JWK, new_account_signed);
}

static enum op_next
answer_found(struct op *op, const char *account, const char *state,
    const char *contact)
{
	if (strcmp(state, "valid") != 0)
		return acme_problem(op, ACME_UNAUTHORIZED,
		    "the account of this key is %s: make another one with a "
		    "new key",
		    state);
	return answer(op, 200, account, state, contact);
}

static enum op_next
refuse_terms(struct op *op)
{
	const char *url = cfg_str(req_api(op)->cfg, "acme_server_tos_url");
	struct acme_problem p = {.error = ACME_USER_ACTION_REQUIRED,
	    .instance = url,
	    .detail = op_printf(op,
		"read the terms at %s, and send termsOfServiceAgreed true",
		url)};

	acme_link(op, url, "terms-of-service");
	return acme_problem_whole(op, &p);
}

/* Whether such an account may be made; *out_agreed: to the terms. */
static bool
may_be_made(struct op *op, bool *out_agreed, enum op_next *out_next)
{
	const struct acme_request *r = acme_request(op);
	rc ret;

	*out_agreed = false;
	ret = json_bool(r->payload, "termsOfServiceAgreed", out_agreed);
	if (ret == RC_INVALID) {
		*out_next = acme_problem(op, ACME_MALFORMED,
		    "termsOfServiceAgreed must be true or false");
		return false;
	}
	if (*cfg_str(req_api(op)->cfg, "acme_server_tos_url") && !*out_agreed) {
		*out_next = refuse_terms(op);
		return false;
	}
	if (r->settings.needs_eab && !binding_of(op)) {
		*out_next = acme_problem(op, ACME_EXTERNAL_ACCOUNT_REQUIRED,
		    "new accounts need externalAccountBinding: ask whoever "
		    "runs this server for a key");
		return false;
	}
	return true;
}

static enum op_next
make_account(struct op *op)
{
	const struct acme_request *r = acme_request(op);
	const struct wish *wish = acme_state(op, sizeof(*wish));

	return OP_QUERY(op, Q_ACME_ACCOUNT_CREATE, account_made, r->profile_id,
	    r->key->thumbprint, jwk_pem(op_arena(op), r->key), wish->contact,
	    wish->has_agreed ? "true" : "false",
	    wish->binding ? wish->binding->kid : NULL);
}

static enum op_next
new_account_signed(struct op *op)
{
	const struct acme_request *r = acme_request(op);
	struct wish *wish = acme_state(op, sizeof(*wish));
	const struct cJSON *binding;
	bool only_found = false;
	enum op_next no;
	rc ret;

	if (!r->payload)
		return acme_problem(op, ACME_MALFORMED,
		    "the payload must be an object (RFC 8555 section 7.3)");
	ret = json_bool(r->payload, "onlyReturnExisting", &only_found);
	if (ret == RC_INVALID)
		return acme_problem(op, ACME_MALFORMED,
		    "onlyReturnExisting must be true or false");
	if (r->account_id)
		return answer_found(op, r->account_id, r->account_status,
		    r->account_contact);
	if (only_found)
		return acme_problem(op, ACME_ACCOUNT_DOES_NOT_EXIST,
		    "no account of this profile has that key: leave "
		    "onlyReturnExisting away to make one");
	if (!acme_contact_read(op, r->payload, &wish->contact, &no) ||
	    !may_be_made(op, &wish->has_agreed, &no))
		return no;
	if (!wish->contact)
		wish->contact = "{}";
	binding = binding_of(op);
	if (!binding)
		return make_account(op);
	if (!binding_read(op, binding, &wish->binding, &no))
		return no;
	return OP_QUERY(op, Q_ACME_EAB_KEY_ASK, binding_asked,
	    wish->binding->kid, r->profile_id, r->key->thumbprint);
}

static enum op_next
binding_asked(struct op *op)
{
	const struct wish *wish = acme_state(op, sizeof(*wish));
	enum op_next no;

	/* The same client, at another server: the key is used, by itself. */
	if (!op_is_null(op, 0, "account_id"))
		return answer_found(op, op_text(op, 0, "account_id"),
		    op_text(op, 0, "status"), op_text(op, 0, "contact"));
	return binding_is_good(op, wish->binding, &no) ? make_account(op) : no;
}

static enum op_next
account_made(struct op *op)
{
	const char *account, *state, *contact, *outcome;

	outcome = op_text(op, 0, "outcome");
	if (strncmp(outcome, EAB, strlen(EAB)) == 0)
		return binding_refuse(op, outcome + strlen(EAB));
	account = op_text(op, 0, "account_id");
	state = op_text(op, 0, "status");
	contact = op_text(op, 0, "contact");
	if (outcome_is(op, "found"))
		return answer_found(op, account, state, contact);
	return answer_with(op, 201, account, state, contact, binding_of(op));
}

/* --- account/{id} --- */

enum op_next
acme_account_start(struct op *op)
{
	return acme_signed(op, ACME_KID, account_signed);
}

/* What else the payload has is not looked at (section 7.3.2). */
static enum op_next
account_signed(struct op *op)
{
	const struct acme_request *r = acme_request(op);
	const char *contact = NULL, *status = "";
	enum op_next no;
	bool ends;
	rc ret;

	if (strcmp(req_param(op, "id"), r->account_id) != 0)
		return acme_problem(op, ACME_UNAUTHORIZED,
		    "this is not the account that signed the request");
	if (!r->payload)
		return answer(op, 200, r->account_id, r->account_status,
		    r->account_contact);
	ret = json_str(r->payload, "status", STATUS_MAX, &status);
	if (ret == RC_INVALID)
		return acme_problem(op, ACME_MALFORMED,
		    "status must be a text: deactivated ends the account");
	if (!acme_contact_read(op, r->payload, &contact, &no))
		return no;
	ends = strcmp(status, "deactivated") == 0;
	if (!contact && !ends)
		return answer(op, 200, r->account_id, r->account_status,
		    r->account_contact);
	return OP_QUERY(op, Q_ACME_ACCOUNT_UPDATE, account_changed,
	    r->account_id, contact, ends ? "true" : "false",
	    op_printf(op, "acme:%s", r->account_id), "User");
}

static enum op_next
account_changed(struct op *op)
{
	if (op_rows(op) == 0)
		return acme_problem(op, ACME_UNAUTHORIZED,
		    "the account was deactivated meanwhile");
	return answer(op, 200, acme_request(op)->account_id,
	    op_text(op, 0, "status"), op_text(op, 0, "contact"));
}
