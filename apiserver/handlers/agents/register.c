/*
 * POST /agents: an agent makes itself known.
 *
 * It may be repeated: an agent that saved its own key first sends the key's
 * hash, and the same name and hash give the same agent.  Without a hash the
 * server makes the key and shows it once.
 */

#include "apiserver/api.h"
#include "apiserver/edge/outcome.h"
#include "apiserver/handlers/agents/agents.h"
#include "apiserver/policy/auth.h"
#include "apiserver/resources/shape.h"
#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/base/rand.h"

enum { NAME_MAX_LEN = 128, HASH_LEN = 64, KEY_BYTES = 32, TRIES = 2 };

struct registration {
	const char *name;
	const char *texts[AGENT_NTEXTS];
	const char *hash;
	char *made_key; /* NULL when the agent brought its own */
	int tries;
};

static op_step register_done;
static op_step register_failed;

static void
wipe_key(void *key)
{
	mem_wipe(key, 2 * KEY_BYTES);
}

static void
make_key(struct op *op, struct registration *g)
{
	uint8_t bytes[KEY_BYTES];
	char *hash = arena_alloc(op_arena(op), HASH_LEN + 1);

	g->made_key = arena_alloc(op_arena(op), 2 * KEY_BYTES + 1);
	arena_defer(op_arena(op), wipe_key, g->made_key);
	rand_bytes(bytes, sizeof(bytes));
	enc_hex(bytes, sizeof(bytes), g->made_key);
	mem_wipe(bytes, sizeof(bytes));
	enc_sha256_hex(g->made_key, 2 * KEY_BYTES, hash);
	g->hash = hash;
}

/* In lower case, as all hashes are stored. */
static rc
take_hash(struct op *op, struct registration *g, const char *given)
{
	uint8_t bytes[HASH_LEN / 2];
	char *hash = arena_alloc(op_arena(op), HASH_LEN + 1);
	rc ret = enc_unhex(given, bytes, sizeof(bytes));

	if (ret != RC_OK)
		return ret;
	enc_hex(bytes, sizeof(bytes), hash);
	g->hash = hash;
	return RC_OK;
}

static rc
read_hash(struct op *op, const struct cJSON *body, struct registration *g,
    const char **out_why)
{
	const char *given = NULL;
	rc ret = json_str(body, "api_key_hash", HASH_LEN, &given);

	if (ret == RC_OK && *given)
		ret = take_hash(op, g, given);
	else if (ret != RC_INVALID)
		return RC_OK; /* absent or empty: we make one */
	if (ret != RC_OK)
		*out_why = "api_key_hash must be the key's SHA-256 as 64 hex "
			   "digits";
	return ret;
}

static rc
read_body(struct op *op, struct registration *g, const char **out_why)
{
	static const struct agent_text name = {"name", NAME_MAX_LEN};
	const struct cJSON *body;
	rc ret;

	ret = req_json(op, false, &body, out_why);
	if (ret != RC_OK)
		return ret;
	ret = agent_text(op, body, &name, &g->name, out_why);
	if (ret != RC_OK)
		return ret;
	for (int i = 0; i < AGENT_NTEXTS; i++) {
		ret = agent_text(op, body, &agent_texts[i], &g->texts[i],
		    out_why);
		if (ret != RC_OK)
			return ret;
	}
	if (!*g->name || !*g->texts[AGENT_HOSTNAME]) {
		*out_why =
		    *g->name ? "hostname is required" : "name is required";
		return RC_INVALID;
	}
	return read_hash(op, body, g, out_why);
}

/* The statements of a registration. */
enum { LOCKED, REGISTERED };

static enum op_next
register_agent(struct op *op)
{
	struct registration *g = op_state(op, sizeof(*g));

	const char *params[] = {g->name, g->texts[AGENT_HOSTNAME],
	    g->texts[AGENT_OS], g->texts[AGENT_ARCHITECTURE],
	    g->texts[AGENT_IP], g->texts[AGENT_VERSION], g->hash,
	    req_principal(op)->id, req_actor_type(op)};
	const struct db_stmt stmts[] = {
	    [LOCKED] = {Q_AGENT_KEY_LOCK, 1, &g->hash},
	    [REGISTERED] = {Q_AGENT_REGISTER, ARRAY_LEN(params), params},
	};

	g->tries++;
	op_catch(op, register_failed);
	return op_batch(op, register_done, ARRAY_LEN(stmts), stmts);
}

enum op_next
agent_register_start(struct op *op)
{
	struct registration *g = op_state(op, sizeof(*g));
	const char *why;
	rc ret;

	ret = read_body(op, g, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	if (!g->hash)
		make_key(op, g);
	return register_agent(op);
}

static enum op_next
register_failed(struct op *op)
{
	return reply_db_error(op, "Agent with this name already exists");
}

static enum op_next
reply_agent(struct op *op, int status)
{
	const struct registration *g = op_state(op, sizeof(*g));
	struct json_w *w = reply_writer(op);

	/* A guess at this key may have been remembered as wrong. */
	auth_forget(req_api(op)->auth, g->hash);
	json_w_open(w, '{');
	agent_write(op, w, op_result(op, REGISTERED));
	json_w_kv_opt(w, "api_key", g->made_key);
	json_w_close(w, '}');
	return reply_json(op, status);
}

#define NAME_TAKEN "Agent with this name already exists"

static enum op_next
register_done(struct op *op)
{
	const struct registration *g = op_state(op, sizeof(*g));
	static const struct outcome refusals[] = {
	    {"other", RC_CONFLICT, NAME_TAKEN},
	    {"retired", RC_GONE, "Agent has been retired"},
	    {"key_taken", RC_CONFLICT, "this key is another agent's already"},
	};
	enum op_next no;

	if (op_rows(op) == 0 && g->tries < TRIES)
		return register_agent(op); /* somebody took it meanwhile */
	if (op_rows(op) == 0)
		return op_fail(op, RC_CONFLICT, "%s", NAME_TAKEN);
	if (outcome_refuses(op, refusals, ARRAY_LEN(refusals), &no))
		return no;
	return reply_agent(op, outcome_is(op, "created") ? 201 : 200);
}

/* --- what the document says of it --- */

static const struct field register_body[] = {
    {"name", FIELD_TEXT, FIELD_REQUIRED, .max = NAME_MAX_LEN},
    {"hostname", FIELD_TEXT, FIELD_REQUIRED, .max = 255},
    {"os", FIELD_TEXT, 0, .max = 100},
    {"architecture", FIELD_TEXT, 0, .max = 100},
    {"ip_address", FIELD_TEXT, 0, .max = 45},
    {"version", FIELD_TEXT, 0, .max = 50},
    {"api_key_hash", FIELD_TEXT, 0, .max = HASH_LEN},
};

static const struct field made_key[] = {{"api_key", FIELD_TEXT}};

const struct shape shape_agent_register_start = {
    .does = "Register an agent",
    .has_body = true,
    .body = {SHAPE_TABLE(register_body)},
    .status = 201,
    .other_status = 200,
    .fields = SHAPE_TABLE_OF(agent_fields, agent_nfields),
    .more_fields = SHAPE_TABLE(made_key),
};
