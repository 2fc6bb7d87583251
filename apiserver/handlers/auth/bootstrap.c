/*
 * GET and POST /auth/bootstrap: the key of the first administrator, for whoever
 * has CERTCTL_BOOTSTRAP_TOKEN.  Open while nobody is one, here or in the
 * database, and never again once it made one.
 */
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/auth/auth.h"
#include "apiserver/handlers/auth/newkey.h"
#include "apiserver/policy/keyring.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"
#include "common/base/enc.h"
#include "common/log/log.h"

#define NAME_WHY \
	"actor_name must be 3 to 64 of a-z 0-9 _ -, neither _ nor - first"
#define CLOSED \
	"Bootstrap is closed: no token is set, it was used, or there is an " \
	"administrator already"
#define BAD_TOKEN "Invalid bootstrap token"

enum { WORD_MAX = 4096 };

struct bootstrap {
	const char *name;
	bool is_token_right;
	struct newkey key;
};

static op_step open_told;
static op_step open_asked;
static op_step bootstrapped;

/* What the database need not be asked for. */
static bool
is_closed_here(const struct op *op)
{
	const struct keyring *k = req_api(op)->keys;

	return !keyring_has_bootstrap(k) || keyring_has_admin(k);
}

/* --- is it open? --- */

static enum op_next
reply_available(struct op *op, bool is_available)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv_bool(w, "available", is_available);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

enum op_next
auth_bootstrap_get(struct op *op)
{
	if (is_closed_here(op))
		return reply_available(op, false);
	return OP_QUERY(op, Q_AUTH_BOOTSTRAP_OPEN, open_told);
}

static enum op_next
open_told(struct op *op)
{
	return reply_available(op, op_bool(op, 0, "is_open"));
}

/* --- the first administrator --- */

/* NULL, or what is wrong. */
static const char *
read_body(struct op *op, const struct cJSON *body, struct bootstrap *b)
{
	const char *token = "";
	char hash[65];

	b->name = "";
	if (json_str(body, "token", WORD_MAX, &token) == RC_INVALID)
		return "token must be a text";
	if (json_str(body, "actor_name", WORD_MAX, &b->name) == RC_INVALID)
		return NAME_WHY;
	if (!*token)
		return "token is required";
	if (!*b->name)
		return "actor_name is required";
	enc_sha256_hex(token, strlen(token), hash);
	b->is_token_right = keyring_is_bootstrap(req_api(op)->keys, hash);
	return newkey_name_is_valid(b->name) ? NULL : NAME_WHY;
}

/* The contract's order: closed tells nobody whether their token was right, and
 * only the right one takes the lock of all changes of keys. */
enum op_next
auth_bootstrap(struct op *op)
{
	struct bootstrap *b = op_state(op, sizeof(*b));
	const struct cJSON *body;
	const char *why;
	rc ret = req_json(op, false, &body, &why);

	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	why = read_body(op, body, b);
	if (why)
		return op_fail(op, RC_INVALID, "%s", why);
	if (is_closed_here(op))
		return req_refuse(op, RC_GONE, CLOSED);
	return OP_QUERY(op, Q_AUTH_BOOTSTRAP_OPEN, open_asked);
}

static enum op_next
open_asked(struct op *op)
{
	struct bootstrap *b = op_state(op, sizeof(*b));

	if (!op_bool(op, 0, "is_open"))
		return req_refuse(op, RC_GONE, CLOSED);
	if (!b->is_token_right)
		return req_refuse(op, RC_UNAUTHENTICATED, BAD_TOKEN);
	if (newkey_name_is_reserved(op, b->name))
		return req_refuse(op, RC_CONFLICT, NEWKEY_TAKEN);
	newkey_make(op, &b->key);

	const char *params[] = {b->name, b->key.hash};

	return auth_change(op, Q_AUTH_BOOTSTRAP, ARRAY_LEN(params), params,
	    bootstrapped);
}

static enum op_next
bootstrapped(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"closed", RC_GONE, CLOSED, NULL},
	    {"taken", RC_CONFLICT, NEWKEY_TAKEN, NULL},
	};
	const struct bootstrap *b = op_state(op, sizeof(*b));
	enum op_next next;

	if (auth_change_refused(op, refusals, ARRAY_LEN(refusals), &next))
		return next;
	log_warn("AUTH-BOOTSTRAP",
	    "%s became the first administrator; the token is good for nothing "
	    "any more",
	    b->name);
	return newkey_reply(op, 201, &b->key,
	    "This key is shown once. It is an administrator's, and the token "
	    "that made it is used up.");
}

/* --- what the document says of it --- */

static const struct field bootstrap_body[] = {
    {"token", FIELD_TEXT, FIELD_REQUIRED, .max = WORD_MAX},
    {"actor_name", FIELD_TEXT, FIELD_REQUIRED, .max = KEYRING_NAME_MAX},
};

static const struct field available_fields[] = {
    {"available", FIELD_BOOL},
};
const struct shape shape_auth_bootstrap_get = {
    .does = "Tell whether the first administrator can be made",
    .fields = SHAPE_TABLE(available_fields),
};
const struct shape shape_auth_bootstrap = {
    .does = "Make the first administrator",
    .has_body = true,
    .body = {SHAPE_TABLE(bootstrap_body)},
    .status = 201,
    .fields = SHAPE_TABLE_OF(newkey_fields, newkey_nfields),
    .more_fields = SHAPE_TABLE_OF(newkey_shown, newkey_nshown),
};
