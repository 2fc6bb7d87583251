/*
 * POST /agents/{id}/served: what the agent's targets serve, all of them.  Sent
 * when a heartbeat was answered that the digest in it is not known.
 */
#include <string.h>

#include <cjson/cJSON.h>

#include "apiserver/handlers/agents/agents.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/shape.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/plain.h"

enum { TARGETS_MAX = 1000, ID_MAX = 128, SERIAL_MAX = 40, TEXT_MAX = 500 };

static op_step served_done;

/* As certificates' versions have them: in lower case. */
static bool
is_hex(const char *text)
{
	return text[strspn(text, "0123456789abcdef")] == '\0';
}

bool
agent_is_digest(const char *text)
{
	return strcmp(text, "none") == 0 ||
	       (strlen(text) == AGENT_DIGEST_MAX && is_hex(text));
}

/* Another's words, kept whatever they are: cut, and cleaned. */
static void
put_words(struct op *op, struct json_w *w, const struct cJSON *one,
    const char *name)
{
	const struct cJSON *item = json_get(one, name);
	char *text;
	size_t len;

	if (!cJSON_IsString(item))
		return;
	len = strnlen(item->valuestring, TEXT_MAX);
	while (len > 0 && (item->valuestring[len] & 0xc0) == 0x80)
		len--; /* not inside a character */
	text = arena_strndup(op_arena(op), item->valuestring, len);
	plain_clean(text);
	json_w_kv_opt(w, name, text);
}

static const char *
check_target(const struct cJSON *one, const char *texts[5])
{
	static const struct {
		const char *name;
		size_t max;
	} known[] = {{"target_id", ID_MAX}, {"seen_by", 16},
	    {"fingerprint_sha256", AGENT_DIGEST_MAX},
	    {"serial_number", SERIAL_MAX}, {"not_after", 40}};
	rc ret;

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		texts[i] = "";
		ret = json_str(one, known[i].name, known[i].max, &texts[i]);
		if (ret == RC_INVALID)
			return "a member of targets is no text, or too long";
	}
	if (!fieldtext_is_id(texts[0]))
		return "target_id must be a target's id";
	if (strcmp(texts[1], "handshake") != 0 && strcmp(texts[1], "file") != 0)
		return "seen_by must be handshake or file";
	if (!is_hex(texts[2]) ||
	    (texts[2][0] && strlen(texts[2]) != AGENT_DIGEST_MAX))
		return "fingerprint_sha256 must be 64 digits of 0-9a-f";
	if (!is_hex(texts[3]))
		return "serial_number must be of digits of 0-9a-f";
	if (texts[4][0] && !wiretime_is_valid(texts[4], false))
		return "not_after must be a time as RFC 3339 has it";
	return NULL;
}

/* The targets as the statement takes them; NULL with *out_why. */
static const char *
read_targets(struct op *op, const struct cJSON *list, const char **out_why)
{
	const struct cJSON *one;
	const char *texts[5], *json;
	struct json_w w;
	struct buf b;

	*out_why = "targets must be a list of 1000 or fewer";
	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > TARGETS_MAX)
		return NULL;
	*out_why = NULL;
	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '[');
	cJSON_ArrayForEach(one, list)
	{
		*out_why = check_target(one, texts);
		if (*out_why)
			break;
		json_w_open(&w, '{');
		json_w_kv(&w, "target_id", texts[0]);
		json_w_kv(&w, "seen_by", texts[1]);
		json_w_kv_opt(&w, "fingerprint_sha256", texts[2]);
		json_w_kv_opt(&w, "serial_number", texts[3]);
		json_w_kv_opt(&w, "not_after", texts[4]);
		put_words(op, &w, one, "issuer_dn");
		put_words(op, &w, one, "error");
		json_w_close(&w, '}');
	}
	json_w_close(&w, ']');
	json = *out_why ? NULL : arena_strdup(op_arena(op), buf_cstr(&b));
	buf_fini(&b);
	return json;
}

enum op_next
agent_served_start(struct op *op)
{
	const char *why, *digest = "", *targets, *id = req_param(op, "id");
	const struct cJSON *body;
	rc ret;

	ret = req_json_any(op, false, &body, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	ret = json_str(body, "digest", AGENT_DIGEST_MAX, &digest);
	if (ret != RC_OK || !agent_is_digest(digest))
		return op_fail(op, RC_INVALID,
		    "digest must be 64 digits of 0-9a-f, or none");
	targets = read_targets(op, json_get(body, "targets"), &why);
	if (!targets)
		return op_fail(op, RC_INVALID, "%s", why);

	const char *report[] = {id, digest, targets};
	const struct db_stmt stmts[] = {
	    {Q_AGENT_STATE, 1, &id},
	    {Q_AGENT_SERVED, ARRAY_LEN(report), report},
	};
	return op_batch(op, served_done, ARRAY_LEN(stmts), stmts);
}

static enum op_next
served_done(struct op *op)
{
	const struct db_result *state = op_result(op, 0);
	struct json_w *w;

	if (db_nrows(state) == 0)
		return op_fail(op, RC_NOT_FOUND, "Agent not found");
	if (db_bool(state, 0, 0))
		return op_fail(op, RC_GONE, "Agent has been retired");
	w = reply_writer(op);
	json_w_open(w, '{');
	json_w_kv(w, "status", "served_recorded");
	json_w_kv_raw(w, "forget", db_text(op_result(op, 1), 0, 0));
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- what the document says of it --- */

static const struct field served_body[] = {
    {"digest", FIELD_TEXT, FIELD_REQUIRED, .max = AGENT_DIGEST_MAX},
    {"targets", FIELD_OBJECTS, FIELD_REQUIRED, .max_items = TARGETS_MAX},
};

static const struct field served_fields[] = {
    {"status", FIELD_TEXT},
    {"forget", FIELD_TEXTS},
};
const struct shape shape_agent_served_start = {
    .does = "Report what an agent's targets serve",
    .has_body = true,
    .body = {SHAPE_TABLE(served_body)},
    .fields = SHAPE_TABLE(served_fields),
};
