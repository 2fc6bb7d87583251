/*
 * POST /auth/keys, POST /auth/keys/{id}/rotate and DELETE /auth/keys/{id}: the
 * keys of the database.  A key's text is made here, shown once, and stored as
 * its hash alone.
 */
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/auth/auth.h"
#include "apiserver/handlers/auth/newkey.h"
#include "apiserver/policy/keyring.h"
#include "apiserver/resources/shape.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/attr.h"

enum {
	WORD_MAX = 128,
	GRACE_S = 3600, /* unless the body says another */
	GRACE_MAX_S = 30 * 86400,
};

static op_step key_created;
static op_step key_rotated;
static op_step key_deleted;

/* --- create --- */

static const char *
read_key(struct op *op, const struct cJSON *body, const char **out_name,
    const char **out_expires_at)
{
	*out_name = "";
	*out_expires_at = NULL;
	if (json_str(body, "name", WORD_MAX, out_name) == RC_INVALID)
		return NEWKEY_NAME_WHY;
	if (!**out_name)
		return "name is required";
	if (json_str(body, "expires_at", WORD_MAX, out_expires_at) ==
		RC_INVALID ||
	    (*out_expires_at && !wiretime_is_valid(*out_expires_at, false)))
		return "expires_at must be a time (RFC 3339)";
	return newkey_name_is_valid(*out_name) ? NULL : NEWKEY_NAME_WHY;
}

enum op_next
auth_key_create(struct op *op)
{
	const char *name, *expires_at, *asker[AUTH_ASKER], *why;
	struct newkey *k = op_state(op, sizeof(*k));
	const struct cJSON *body;
	rc ret = req_json(op, false, &body, &why);

	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	why = read_key(op, body, &name, &expires_at);
	if (why)
		return op_fail(op, RC_INVALID, "%s", why);
	if (newkey_name_is_reserved(op, name))
		return req_refuse(op, RC_CONFLICT, NEWKEY_TAKEN);
	newkey_make(op, k);
	auth_asker(op, asker);

	const char *params[] = {asker[0], asker[1], name, k->hash, expires_at};

	return auth_change(op, Q_AUTH_KEY_CREATE, ARRAY_LEN(params), params,
	    key_created);
}

static enum op_next
key_created(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"past", RC_INVALID, "expires_at must be in the future", NULL},
	    {"taken", RC_CONFLICT, NEWKEY_TAKEN, NULL},
	};
	enum op_next next;

	return auth_change_refused(op, refusals, ARRAY_LEN(refusals), &next)
		   ? next
		   : newkey_reply(op, 201, op_state(op, sizeof(struct newkey)),
			 "This key is shown once. It holds nothing until it "
			 "is given a role.");
}

/* --- rotate --- */

static bool
is_configured(const struct op *op)
{
	bool is_admin;

	return keyring_has_name(req_api(op)->keys, req_param(op, "id"),
	    &is_admin);
}

static enum op_next
refuse_configured(struct op *op)
{
	return req_refuse(op, RC_CONFLICT,
	    "The environment of the server names this key: change it there");
}

enum op_next
auth_key_rotate(struct op *op)
{
	struct newkey *k = op_state(op, sizeof(*k));
	const char *params[AUTH_ASKER + 3], *why;
	const struct cJSON *body;
	int64_t grace_s = GRACE_S;
	rc ret = req_json(op, true, &body, &why);

	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	ret = json_int(body, "grace_seconds", 0, GRACE_MAX_S, &grace_s);
	if (ret == RC_INVALID)
		return op_fail(op, ret,
		    "grace_seconds must be a whole number from 0 to %d",
		    GRACE_MAX_S);
	if (is_configured(op))
		return refuse_configured(op);
	newkey_make(op, k);
	auth_asker(op, params);
	params[AUTH_ASKER] = req_param(op, "id");
	params[AUTH_ASKER + 1] = k->hash;
	params[AUTH_ASKER + 2] = op_printf(op, "%lld", (long long)grace_s);
	return auth_change(op, Q_AUTH_KEY_ROTATE, ARRAY_LEN(params), params,
	    key_rotated);
}

static enum op_next
key_rotated(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"none", RC_NOT_FOUND, "Key not found", NULL},
	    {"ended", RC_CONFLICT,
		"The key has ended: delete it and make another", NULL},
	    {"beyond", RC_FORBIDDEN,
		"The key holds more than you do yourself, so you cannot have "
		"it",
		NULL},
	};
	enum op_next next;

	return auth_change_refused(op, refusals, ARRAY_LEN(refusals), &next)
		   ? next
		   : newkey_reply(op, 200, op_state(op, sizeof(struct newkey)),
			 "This key is shown once.");
}

/* --- delete --- */

enum op_next
auth_key_delete(struct op *op)
{
	const char *asker[AUTH_ASKER];

	if (is_configured(op))
		return refuse_configured(op);
	auth_asker(op, asker);

	const char *params[] = {asker[0], asker[1], req_param(op, "id"),
	    auth_names(op, AUTH_ALL),
	    auth_flag(keyring_has_admin(req_api(op)->keys))};

	return auth_change(op, Q_AUTH_KEY_DELETE, ARRAY_LEN(params), params,
	    key_deleted);
}

static enum op_next
key_deleted(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"none", RC_NOT_FOUND, "Key not found", NULL},
	    {"last_admin", RC_CONFLICT, AUTH_LAST_ADMIN, NULL},
	};
	enum op_next next;

	return auth_change_refused(op, refusals, ARRAY_LEN(refusals), &next)
		   ? next
		   : reply_no_content(op);
}

/* --- what the document says of it --- */

static const struct field create_body[] = {
    {"name", FIELD_TEXT, FIELD_REQUIRED, .max = KEYRING_NAME_MAX},
    {"expires_at", FIELD_TIME},
};

static const struct field rotate_body[] = {
    {"grace_seconds", FIELD_INT, 0, 0, GRACE_MAX_S},
};

const struct shape shape_auth_key_create = {
    .does = "Make a key",
    .has_body = true,
    .body = {SHAPE_TABLE(create_body)},
    .status = 201,
    .fields = SHAPE_TABLE_OF(newkey_fields, newkey_nfields),
    .more_fields = SHAPE_TABLE_OF(newkey_shown, newkey_nshown),
};
const struct shape shape_auth_key_rotate = {
    .does = "Give a key a new value",
    .has_body = true,
    .may_be_empty = true,
    .body = {SHAPE_TABLE(rotate_body)},
    .fields = SHAPE_TABLE_OF(newkey_fields, newkey_nfields),
    .more_fields = SHAPE_TABLE_OF(newkey_shown, newkey_nshown),
};
const struct shape shape_auth_key_delete = {
    .does = "Delete a key",
    .answer = SHAPE_NOTHING,
};
