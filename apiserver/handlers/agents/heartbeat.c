#include "apiserver/handlers/agents/heartbeat.h"

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/agents/agents.h"
#include "apiserver/live/heartbeats.h"
#include "apiserver/resources/shape.h"

enum { WAIT_MS = 20000 };

static const enum beat_field field_of[AGENT_NTEXTS] = {
    [AGENT_HOSTNAME] = BEAT_HOSTNAME,
    [AGENT_OS] = BEAT_OS,
    [AGENT_ARCHITECTURE] = BEAT_ARCHITECTURE,
    [AGENT_IP] = BEAT_IP_ADDRESS,
    [AGENT_VERSION] = BEAT_VERSION,
};

static op_step beat_done;

/* A body that is no JSON is taken for an empty one, as the contract asks; a
 * member that hides something is refused by agent_text. */
static rc
read_fields(struct op *op, const char *fields[BEAT_NFIELDS],
    const char **out_why)
{
	const struct cJSON *body;
	const char *ignored;
	rc ret;

	for (int f = 0; f < BEAT_NFIELDS; f++)
		fields[f] = "";
	/* The request may go before the op and its place in the queue do. */
	fields[BEAT_ID] = arena_strdup(op_arena(op), req_param(op, "id"));
	ret = req_json_any(op, true, &body, &ignored);
	if (ret != RC_OK)
		return RC_OK;
	for (int i = 0; i < AGENT_NTEXTS; i++) {
		ret = agent_text(op, body, &agent_texts[i],
		    &fields[field_of[i]], out_why);
		if (ret != RC_OK)
			return ret;
	}
	ret = json_str(body, "served", AGENT_DIGEST_MAX, &fields[BEAT_SERVED]);
	if (ret == RC_INVALID ||
	    (fields[BEAT_SERVED][0] && !agent_is_digest(fields[BEAT_SERVED]))) {
		*out_why = "served must be 64 digits of 0-9a-f, or none";
		return RC_INVALID;
	}
	return RC_OK;
}

enum op_next
agent_heartbeat_start(struct op *op)
{
	struct beat **state = op_state(op, sizeof(*state));
	const char *fields[BEAT_NFIELDS], *why;
	rc ret;

	ret = read_fields(op, fields, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	*state = heartbeats_add(req_api(op)->heartbeats, op, fields);
	return op_park(op, WAIT_MS, beat_done);
}

static enum op_next
beat_reply(struct op *op, bool is_wanted)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, "status", "heartbeat_recorded");
	if (is_wanted)
		json_w_kv(w, "served", "wanted");
	json_w_close(w, '}');
	return reply_json(op, 200);
}

static enum op_next
beat_done(struct op *op)
{
	struct beat **state = op_state(op, sizeof(*state));
	rc ret = beat_result(*state);

	if (ret == RC_NOT_FOUND)
		return op_fail(op, RC_NOT_FOUND, "Agent not found");
	if (ret == RC_GONE)
		return op_fail(op, RC_GONE, "Agent has been retired");
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", "");
	return beat_reply(op, beat_is_wanted(*state));
}

/* --- what the document says of it --- */

static const struct field beat_body[] = {
    {"hostname", FIELD_TEXT, 0, .max = 255},
    {"os", FIELD_TEXT, 0, .max = 100},
    {"architecture", FIELD_TEXT, 0, .max = 100},
    {"ip_address", FIELD_TEXT, 0, .max = 45},
    {"version", FIELD_TEXT, 0, .max = 50},
    {"served", FIELD_TEXT, 0, .max = AGENT_DIGEST_MAX},
};

static const struct field heartbeat_fields[] = {
    {"status", FIELD_TEXT},
    {"served", FIELD_TEXT},
};
const struct shape shape_agent_heartbeat_start = {
    .does = "Say that an agent lives",
    .has_body = true,
    .may_be_empty = true,
    .body = {SHAPE_TABLE(beat_body)},
    .fields = SHAPE_TABLE(heartbeat_fields),
};
