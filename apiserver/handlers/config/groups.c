/*
 * The agent groups: rules that an agent is held against, beside the agents
 * that are named (handlers/agents/members.c).  The contract lets any text
 * stand as a network; one that is none matches no agent, and the answer says
 * so.
 */
#include "apiserver/handlers/config/nouns.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/base/enc.h"

enum { MAX_CIDR = 45 };

/* 10.0.1.0/24, 2001:db8::/32, or an address alone. */
static bool
is_network(const char *text)
{
	char address[MAX_CIDR + 1];
	unsigned char octets[16];
	size_t len = strcspn(text, "/");
	int64_t bits;
	bool is_v4;
	rc ret = RC_OK;

	if (len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	is_v4 = inet_pton(AF_INET, address, octets) == 1;
	if (!is_v4 && inet_pton(AF_INET6, address, octets) != 1)
		return false;
	if (text[len] == '/')
		ret = enc_parse_i64(text + len + 1, 0, is_v4 ? 32 : 128, &bits);
	return ret == RC_OK;
}

static void
group_warn(struct op *op, struct warnings *ws)
{
	const char *cidr = op_text(op, 0, "match_ip_cidr");

	if (cidr[0] != '\0' && !is_network(cidr))
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
    .list = Q_AGENT_GROUP_LIST,
    .total = Q_AGENT_GROUP_TOTAL,
    .get = Q_AGENT_GROUP_GET,
    .create = Q_AGENT_GROUP_CREATE,
    .update = Q_AGENT_GROUP_UPDATE,
    .remove = Q_AGENT_GROUP_DELETE,
    .duplicate = "An agent group with this name already exists",
    .in_use = "Cannot delete agent group: something still refers to it",
    .warn = group_warn,
};
