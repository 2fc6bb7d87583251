#include "apiserver/handlers/auth/newkey.h"

#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/policy/keyring.h"
#include "apiserver/resources/field.h"
#include "common/base/attr.h"
#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/base/rand.h"

enum { KEY_BYTES = 32, NAME_MIN = 3 };

const struct field newkey_fields[] = {
    {"actor_id", FIELD_TEXT},
    {"api_key_id", FIELD_TEXT},
    {"created_at", FIELD_TIME},
    {"expires_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"old_key_until", FIELD_TIME, FIELD_OMIT_EMPTY},
};
const size_t newkey_nfields = ARRAY_LEN(newkey_fields);
const struct field newkey_shown[] = {
    {"key_value", FIELD_TEXT},
    {"message", FIELD_TEXT},
};
const size_t newkey_nshown = ARRAY_LEN(newkey_shown);

static void
wipe(void *text)
{
	mem_wipe(text, 2 * KEY_BYTES);
}

void
newkey_make(struct op *op, struct newkey *out)
{
	uint8_t bytes[KEY_BYTES];

	out->text = arena_alloc(op_arena(op), 2 * KEY_BYTES + 1);
	arena_defer(op_arena(op), wipe, out->text);
	rand_bytes(bytes, sizeof(bytes));
	enc_hex(bytes, sizeof(bytes), out->text);
	mem_wipe(bytes, sizeof(bytes));
	enc_sha256_hex(out->text, 2 * KEY_BYTES, out->hash);
}

bool
newkey_name_is_valid(const char *name)
{
	size_t len = strlen(name);

	return len >= NAME_MIN && len <= KEYRING_NAME_MAX && name[0] != '_' &&
	       name[0] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

bool
newkey_name_is_reserved(const struct op *op, const char *name)
{
	bool is_admin;

	return strcmp(name, "actor-demo-anon") == 0 ||
	       strcmp(name, "agent-bootstrap") == 0 ||
	       strncmp(name, "legacy-key-", 11) == 0 ||
	       keyring_has_name(req_api(op)->keys, name, &is_admin);
}

enum op_next
newkey_reply(struct op *op, int status, const struct newkey *k,
    const char *message)
{
	struct field_rows rows;
	struct json_w *w = reply_writer(op);

	field_rows_init(&rows, op_result(op, 1), newkey_fields, newkey_nfields,
	    NULL);
	json_w_open(w, '{');
	field_rows_put_members(&rows, op_arena(op), w, 0);
	json_w_kv(w, "key_value", k->text);
	json_w_kv(w, "message", message);
	json_w_close(w, '}');
	return reply_json(op, status);
}
