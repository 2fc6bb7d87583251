/*
 * The agent groups: rules that an agent is held against, beside the agents
 * that are named (handlers/agents/members.c).  The contract lets any text
 * stand as a network; one that is none matches no agent, and the answer says
 * so.
 */
#include "apiserver/handlers/config/nouns.h"

#include "common/base/attr.h"
#include "common/base/cidr.h"

enum { MAX_CIDR = 45 };

static void
group_warn(struct op *op, struct warnings *ws)
{
	const char *text = op_text(op, 0, "match_ip_cidr");
	struct cidr cidr;
	rc ret = RC_OK;

	if (text[0] != '\0')
		ret = cidr_parse(text, &cidr);
	if (ret != RC_OK)
		warn_add(op, ws,
		    "match_ip_cidr is no network (10.0.1.0/24, 2001:db8::/32): "
		    "the group's rules match no agent");
	if (!op_bool(op, 0, "enabled"))
		warn_add(op, ws,
		    "enabled is false: the group's rules match no agent");
}

static const struct field group_fields[] = {
    {"id", FIELD_TEXT, FIELD_ID | FIELD_CREATE_ONLY | FIELD_EMPTY_ABSENT,
	.max = 128},
    {"name", FIELD_TEXT, FIELD_REQUIRED, .max = 255},
    {"description", FIELD_TEXT, FIELD_MULTILINE, .max = 4000, .dflt = "\"\""},
    {"match_os", FIELD_TEXT, 0, .max = 100, .dflt = "\"\""},
    {"match_architecture", FIELD_TEXT, 0, .max = 100, .dflt = "\"\""},
    {"match_ip_cidr", FIELD_TEXT, 0, .max = MAX_CIDR, .dflt = "\"\""},
    {"match_version", FIELD_TEXT, 0, .max = 50, .dflt = "\"\""},
    {"enabled", FIELD_BOOL, 0, .dflt = "true"},
    {"created_at", FIELD_TIME, FIELD_READ_ONLY},
    {"updated_at", FIELD_TIME, FIELD_READ_ONLY},
};

const struct resource resource_groups = {
    .label = "Agent group",
    .fields = group_fields,
    .nfields = ARRAY_LEN(group_fields),
    .filters = {"q"},
    RESOURCE_STATEMENTS(AGENT_GROUP),
    .duplicate = "An agent group with this name already exists",
    .in_use = "Cannot delete agent group: something still refers to it",
    .warn = group_warn,
};
