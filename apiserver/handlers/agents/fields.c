#include "apiserver/handlers/agents/agents.h"

#include "common/base/hostname.h"
#include "common/base/plain.h"

static bool
is_host(const char *text)
{
	return hostname_is_address(text) || hostname_is_valid(text, false);
}

const struct agent_text agent_texts[AGENT_NTEXTS] = {
    [AGENT_HOSTNAME] = {"hostname", 255, is_host, "a host name"},
    [AGENT_OS] = {"os", 100},
    [AGENT_ARCHITECTURE] = {"architecture", 100},
    [AGENT_IP] = {"ip_address", 45, hostname_is_address, "an IP address"},
    [AGENT_VERSION] = {"version", 50},
};

rc
agent_text(struct op *op, const struct cJSON *body,
    const struct agent_text *text, const char **out, const char **out_why)
{
	rc ret;

	*out = "";
	ret = json_str(body, text->name, text->max, out);
	if (ret == RC_INVALID)
		*out_why = op_printf(op,
		    "%s must be a text of %zu characters or fewer", text->name,
		    text->max);
	else if (!plain_is_line(*out))
		*out_why = op_printf(op,
		    "%s must not contain control characters or others that "
		    "can't be seen",
		    text->name);
	else if (**out != '\0' && plain_is_blank(*out))
		*out_why = op_printf(op, "%s must not be blank", text->name);
	else if (**out != '\0' && text->is_valid != NULL &&
		 !text->is_valid(*out))
		*out_why =
		    op_printf(op, "%s must be %s", text->name, text->must_be);
	else
		return RC_OK;
	return RC_INVALID;
}

const struct field agent_fields[] = {
    {"id", FIELD_TEXT},
    {"name", FIELD_TEXT},
    {"hostname", FIELD_TEXT},
    {"status", FIELD_TEXT},
    {"registered_at", FIELD_TIME},
    {"os", FIELD_TEXT},
    {"architecture", FIELD_TEXT},
    {"ip_address", FIELD_TEXT},
    {"version", FIELD_TEXT},
    {"last_heartbeat_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"retired_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"retired_reason", FIELD_TEXT, FIELD_OMIT_EMPTY},
};
const size_t agent_nfields = ARRAY_LEN(agent_fields);

void
agent_write(struct op *op, struct json_w *w, const struct db_result *rows)
{
	struct field_rows fr;

	field_rows_init(&fr, rows, agent_fields, agent_nfields, NULL);
	field_rows_put_members(&fr, op_arena(op), w, 0);
}
