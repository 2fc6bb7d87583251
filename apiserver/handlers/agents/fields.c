#include "apiserver/handlers/agents/agents.h"

const struct agent_text agent_texts[AGENT_NTEXTS] = {
    [AGENT_HOSTNAME] = {"hostname", 255},
    [AGENT_OS] = {"os", 100},
    [AGENT_ARCHITECTURE] = {"architecture", 100},
    [AGENT_IP] = {"ip_address", 45},
    [AGENT_VERSION] = {"version", 50},
};

rc
agent_text(struct op *op, const struct cJSON *body,
    const struct agent_text *text, const char **out, const char **out_why)
{
	rc ret;

	*out = "";
	ret = json_str(body, text->name, text->max, out);
	if (ret != RC_INVALID)
		return RC_OK;
	*out_why = op_printf(op, "%s must be a text of %zu characters or fewer",
	    text->name, text->max);
	return RC_INVALID;
}

static void
write_opt(struct op *op, struct json_w *w, size_t row, const char *name)
{
	json_w_kv_opt(w, name, op_text(op, row, name));
}

void
agent_write(struct op *op, struct json_w *w, size_t row)
{
	static const char *const always[] = {"id", "name", "hostname", "status",
	    "registered_at", "os", "architecture", "ip_address", "version"};

	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		json_w_kv(w, always[i], op_text(op, row, always[i]));
	write_opt(op, w, row, "last_heartbeat_at");
	write_opt(op, w, row, "retired_at");
	write_opt(op, w, row, "retired_reason");
}
