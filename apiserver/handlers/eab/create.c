/*
 * POST /acme/eab-keys: a new key.  Its HMAC key is made here, answered once,
 * and stored sealed under CERTCTL_CONFIG_ENCRYPTION_KEY.
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
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/json/json.h"
#include "common/pki/key/seal.h"

enum {
	/* Enough for each HMAC that clients may choose (RFC 7518 section
	 * 3.2). */
	HMAC_BYTES = 64,
	HMAC_CHARS = 86, /* base64url */
	ID_BYTES = 16,
	ID_MAX = 128
};

struct making {
	const char *body; /* checked */
	const char *id;
	const char *hmac;   /* base64url */
	const char *sealed; /* hex */
};

static op_step seal_key;
static op_step key_made;
static op_step make_failed;

static enum op_next
refuse_sealing(struct op *op, const char *what)
{
	return op_fail(op, RC_UNAVAILABLE,
	    "Keys are stored sealed, and CERTCTL_CONFIG_ENCRYPTION_KEY of the "
	    "server %s",
	    what);
}

/* A key for every profile is never made by a slip of the pen. */
static const char *
profile_fault(const struct cJSON *body)
{
	const char *profile = "";
	bool is_any = false;

	/* Both were read before. */
	IGNORE_RESULT(json_str(body, "profile_id", ID_MAX, &profile));
	IGNORE_RESULT(json_bool(body, "any_profile", &is_any));
	if (*profile && is_any)
		return "profile_id and any_profile do not go together";
	if (!*profile && !is_any)
		return "profile_id is required; any_profile makes a key for "
		       "all of them";
	return NULL;
}

enum op_next
eab_key_create_start(struct op *op)
{
	struct making *m = op_state(op, sizeof(*m));
	struct sealer *s = req_api(op)->sealer;
	const struct cJSON *body;
	const char *why;
	rc ret;

	ret = req_json(op, false, &body, &why);
	if (ret == RC_OK)
		ret = field_read(op_arena(op), eab_key_fields, eab_key_nfields,
		    body, true, &m->body, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	why = profile_fault(body);
	if (why)
		return op_fail(op, RC_INVALID, "%s", why);
	if (!s)
		return refuse_sealing(op, "is not set");
	if (sealer_is_weak(s))
		return refuse_sealing(op, "is too easy to guess");
	return OP_QUERY0(op, Q_ACME_EAB_KEY_SEALED, seal_key);
}

static void
wipe(void *text)
{
	mem_wipe(text, HMAC_CHARS);
}

/* The key as its client is given it, and sealed. */
static rc
make_hmac(struct op *op, struct making *m)
{
	struct arena *a = op_arena(op);
	uint8_t bytes[HMAC_BYTES], *blob;
	char *text;
	size_t len;
	rc ret;

	/* Clients take it on their command line, where a '-' in front makes an
	 * option of it: certbot refuses such a key. */
	do {
		rand_bytes(bytes, sizeof(bytes));
		text = enc_base64url(a, bytes, sizeof(bytes));
		arena_defer(a, wipe, text);
	} while (*text == '-');
	m->hmac = text;
	ret = seal(req_api(op)->sealer, a, binding_place(op, m->id), bytes,
	    sizeof(bytes), &blob, &len);
	mem_wipe(bytes, sizeof(bytes));
	if (ret != RC_OK)
		return ret;
	text = arena_alloc(a, 2 * len + 1);
	enc_hex(blob, len, text);
	m->sealed = text;
	return RC_OK;
}

static enum op_next
seal_key(struct op *op)
{
	struct making *m = op_state(op, sizeof(*m));
	uint8_t id[ID_BYTES];
	char hex[2 * ID_BYTES + 1];
	rc ret = RC_OK;

	if (op_rows(op) > 0)
		ret = binding_follow(op, op_text(op, 0, "hmac_sealed"));
	rand_bytes(id, sizeof(id));
	enc_hex(id, sizeof(id), hex);
	m->id = op_printf(op, "eab-%s", hex);
	if (ret == RC_OK)
		ret = make_hmac(op, m);
	if (ret != RC_OK)
		return op_fail(op, ret, "The key could not be sealed");
	op_catch(op, make_failed);
	return OP_QUERY(op, Q_ACME_EAB_KEY_CREATE, key_made, m->body, m->id,
	    m->sealed, page_actor(op), req_actor_type(op));
}

static enum op_next
make_failed(struct op *op)
{
	return reply_db_error(op, "A key with this id already exists");
}

static enum op_next
key_made(struct op *op)
{
	const struct making *m = op_state(op, sizeof(*m));
	struct field_rows rows;
	struct json_w *w;

	if (op_rows(op) == 0)
		return op_fail(op, RC_INVALID,
		    "expires_at must be in the future");
	field_rows_init(&rows, op_result(op, 0), eab_key_fields,
	    eab_key_nfields, NULL);
	w = reply_writer(op);
	json_w_open(w, '{');
	field_rows_put_members(&rows, op_arena(op), w, 0);
	json_w_kv(w, "hmac_key", m->hmac);
	json_w_kv(w, "message", "The HMAC key is shown once.");
	json_w_close(w, '}');
	return reply_json(op, 201);
}

/* --- what the document says of it --- */

static const struct field shown_once[] = {
    {"hmac_key", FIELD_TEXT},
    {"message", FIELD_TEXT},
};

const struct shape shape_eab_key_create_start = {
    .does = "Make a key of external account binding",
    .has_body = true,
    .body = {SHAPE_TABLE_OF(eab_key_fields, eab_key_nfields)},
    .status = 201,
    .fields = SHAPE_TABLE_OF(eab_key_fields, eab_key_nfields),
    .more_fields = SHAPE_TABLE(shown_once),
};
