/*
 * POST /acme/eab-keys/reseal: keys that lie under the former passphrase are
 * sealed anew under CERTCTL_CONFIG_ENCRYPTION_KEY, some at each call.
 *
 * Each call is one transaction, and a key is written only where it is as it
 * was read: whoever dies in between has lost nothing, and whoever comes again
 * goes on.
 */
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/acme/binding.h"
#include "apiserver/handlers/eab/eab.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"
#include "common/base/enc.h"
#include "common/json/json.h"
#include "common/pki/key/seal.h"

#define CHUNK "100"

enum { ID_MAX = 128, CHUNK_MAX = 100 };

/* Keys in the order of their ids. */
struct resealing {
	size_t nsealed, nunopened;
	const char *ids[CHUNK_MAX], *was[CHUNK_MAX], *is[CHUNK_MAX];
	const char *unopened[CHUNK_MAX];
	const char *last; /* where the next call goes on; NULL: at the end */
};

static op_step sealed_read;
static op_step sealed_written;

static const struct field reseal_body[] = {
    {"after", FIELD_TEXT, FIELD_EMPTY_ABSENT, .max = ID_MAX},
};

enum op_next
eab_keys_reseal_start(struct op *op)
{
	const struct sealer *s = req_api(op)->sealer;
	const char *checked, *why, *after = "";
	const struct cJSON *body;
	rc ret;

	ret = req_json(op, true, &body, &why);
	if (ret == RC_OK)
		ret = field_read(op_arena(op), reseal_body,
		    ARRAY_LEN(reseal_body), body, true, &checked, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	IGNORE_RESULT(json_str(body, "after", ID_MAX, &after)); /* was read */
	if (!s || sealer_is_weak(s))
		return op_fail(op, RC_UNAVAILABLE,
		    "CERTCTL_CONFIG_ENCRYPTION_KEY of the server %s",
		    s ? "is too easy to guess" : "is not set");
	return OP_QUERY(op, Q_ACME_EAB_KEYS_SEALED, sealed_read, after, CHUNK);
}

enum found { IS_OWN, IS_SEALED, IS_UNOPENED };

/* A key as it lies in the database, and in *out as it is to lie there. */
static enum found
reseal(struct op *op, const char *id, const char *was, const char **out)
{
	struct sealer *s = req_api(op)->sealer;
	const char *place = binding_place(op, id);
	size_t len = strlen(was) / 2, fresh_len;
	uint8_t *blob = arena_alloc(op_arena(op), len + 1), *fresh;
	struct secret *key = NULL;
	char *hex;
	rc ret;

	ret = enc_unhex(was, blob, len);
	if (ret != RC_OK)
		return IS_UNOPENED;
	ret = unseal_own(s, place, blob, len, &key);
	if (ret == RC_OK) {
		secret_free(key);
		return IS_OWN;
	}
	ret = unseal(s, place, blob, len, &key);
	if (ret != RC_OK)
		return IS_UNOPENED;
	ret = seal(s, op_arena(op), place, secret_bytes(key), secret_len(key),
	    &fresh, &fresh_len);
	secret_free(key);
	if (ret != RC_OK)
		return IS_UNOPENED;
	hex = arena_alloc(op_arena(op), 2 * fresh_len + 1);
	enc_hex(fresh, fresh_len, hex);
	*out = hex;
	return IS_SEALED;
}

static enum op_next
sealed_read(struct op *op)
{
	struct resealing *r = op_state(op, sizeof(*r));
	struct arena *a = op_arena(op);
	size_t n = op_rows(op);

	for (size_t i = 0; i < n; i++) {
		const char *id = arena_strdup(a, op_text(op, i, "key_id"));
		const char *was =
		    arena_strdup(a, op_text(op, i, "hmac_sealed"));

		switch (reseal(op, id, was, &r->is[r->nsealed])) {
		case IS_OWN:
			break;
		case IS_SEALED:
			r->ids[r->nsealed] = id;
			r->was[r->nsealed++] = was;
			break;
		case IS_UNOPENED:
			r->unopened[r->nunopened++] = id;
			break;
		}
		r->last = n == CHUNK_MAX ? id : NULL;
	}
	return OP_QUERY(op, Q_ACME_EAB_KEYS_RESEAL, sealed_written,
	    db_text_array(a, r->ids, r->nsealed),
	    db_text_array(a, r->was, r->nsealed),
	    db_text_array(a, r->is, r->nsealed), page_actor(op),
	    req_actor_type(op));
}

static enum op_next
sealed_written(struct op *op)
{
	const struct resealing *r = op_state(op, sizeof(*r));
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv_int(w, "resealed", op_i64(op, 0, "n"));
	json_w_key(w, "unopened");
	json_w_open(w, '[');
	for (size_t i = 0; i < r->nunopened; i++)
		json_w_str(w, r->unopened[i]);
	json_w_close(w, ']');
	json_w_kv_opt(w, "next", r->last);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- what the document says of it --- */

static const struct field resealed[] = {
    {"resealed", FIELD_INT},
    {"unopened", FIELD_TEXTS},
    {"next", FIELD_TEXT, FIELD_OMIT_EMPTY},
};

const struct shape shape_eab_keys_reseal_start = {
    .does = "Seal the keys of external account binding under the passphrase "
	    "that the server has now, a hundred at a call",
    .has_body = true,
    .may_be_empty = true,
    .body = {SHAPE_TABLE(reseal_body)},
    .fields = SHAPE_TABLE(resealed),
};
