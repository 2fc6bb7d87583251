/*
 * The targets of network scans: which addresses and ports are asked for their
 * certificates, and how often.
 */
#include "apiserver/handlers/network/network.h"

#include <cjson/cJSON.h>
#include <string.h>
#include <sys/socket.h>

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "common/base/attr.h"
#include "common/base/cidr.h"
#include "common/policy/policy.h"

enum { MAX_CIDRS = 64, MAX_TIMEOUT_MS = 30000, MAX_INTERVAL_HOURS = 8760 };

struct outbound
network_outbound(const struct op *op)
{
	const struct cfg *cfg = req_api(op)->cfg;

	return (struct outbound){
	    .refuses_private = cfg_bool(cfg, "block_rfc1918_outbound"),
	    .allows_loopback = cfg_bool(cfg, "network_scan_allow_loopback"),
	};
}

static const char *
block(struct arena *a, const char *text, const char **out_why)
{
	struct cidr c;
	rc ret;

	(void)a;
	ret = cidr_parse(text, &c);
	if (ret == RC_OK && cidr_hosts(&c) > 0)
		return text;
	*out_why = ret != RC_OK ? "must be addresses or blocks of them, as "
				  "192.0.2.7, 192.0.2.0/24 or 2001:db8::/120"
				: "must be blocks of 4096 addresses at most: "
				  "/20 and longer, of IPv6 /116";
	return NULL;
}

/* What the addresses are where none of them is asked; NULL: some are. */
static const char *
block_refuses(const struct outbound *o, const struct cidr *c)
{
	struct sockaddr_storage first, last;
	const char *what;

	/* Reserved ranges are wider than a block, so its ends tell. */
	cidr_host(c, 0, &first);
	cidr_host(c, cidr_hosts(c) - 1, &last);
	what = outbound_refuses(o, (const struct sockaddr *)&first);
	if (what == NULL)
		return NULL;
	return outbound_refuses(o, (const struct sockaddr *)&last);
}

static const char *
blocks_check(struct op *op, const struct cJSON *cidrs, size_t *out_hosts)
{
	const struct outbound o = network_outbound(op);
	const struct cJSON *item;
	const char *what;
	struct cidr c;
	rc ret;

	*out_hosts = 0;
	cJSON_ArrayForEach(item, cidrs)
	{
		/* The field was read. */
		ret = cidr_parse(item->valuestring, &c);
		if (ret != RC_OK)
			continue;
		what = block_refuses(&o, &c);
		if (what != NULL)
			return op_printf(op, "cidrs: %s is not scanned: %s",
			    item->valuestring, what);
		*out_hosts += cidr_hosts(&c);
	}
	return NULL;
}

/* What the body says, or else what is stored. */
static const struct cJSON *
list_of(struct op *op, const struct cJSON *body, const char *name,
    bool is_create)
{
	const struct cJSON *list = json_get(body, name);
	const char *text, *why;
	rc ret;

	if (is_create || cJSON_GetArraySize(list) > 0)
		return list;
	text = op_text(op, 0, name);
	ret = json_parse(op_arena(op), text, strlen(text), &list, &why);
	return ret == RC_OK ? list : NULL;
}

static const char *
target_check(struct op *op, const struct cJSON *body, bool is_create)
{
	const struct cJSON *ports = list_of(op, body, "ports", is_create);
	int nports = cJSON_GetArraySize(ports);
	const char *why;
	size_t hosts;

	why = blocks_check(op, list_of(op, body, "cidrs", is_create), &hosts);
	if (why != NULL)
		return why;
	if (nports < 1)
		nports = 1; /* the default */
	if (hosts * (size_t)nports > POLICY_SCAN_ENDPOINTS)
		return op_printf(op,
		    "cidrs and ports make %zu endpoints, more than %d: make "
		    "several targets",
		    hosts * (size_t)nports, POLICY_SCAN_ENDPOINTS);
	return NULL;
}

static void
target_warn(struct op *op, struct warnings *ws)
{
	if (!op_bool(op, 0, "enabled"))
		warn_add(op, ws,
		    "enabled is false: it is scanned only when asked for");
}

static const struct field target_fields[] = {
    {"id", FIELD_TEXT, FIELD_READ_ONLY},
    {"name", FIELD_TEXT, FIELD_REQUIRED | FIELD_EMPTY_ABSENT, .max = 255},
    {"cidrs", FIELD_TEXTS, FIELD_REQUIRED | FIELD_ZERO_ABSENT,
	.max = CIDR_TEXT_MAX, .convert = block, .max_items = MAX_CIDRS},
    {"ports", FIELD_INTS, FIELD_ZERO_ABSENT | FIELD_ONCE, 1, 65535, "[443]"},
    {"enabled", FIELD_BOOL, 0},
    {"scan_interval_hours", FIELD_INT, FIELD_ZERO_ABSENT, 1, MAX_INTERVAL_HOURS,
	"6"},
    {"timeout_ms", FIELD_INT, FIELD_ZERO_ABSENT, 100, MAX_TIMEOUT_MS, "5000"},
    {"last_scan_at", FIELD_TIME, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"last_scan_duration_ms", FIELD_INT, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"last_scan_certs_found", FIELD_INT, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"created_at", FIELD_TIME, FIELD_READ_ONLY},
    {"updated_at", FIELD_TIME, FIELD_READ_ONLY},
};

const struct resource resource_scan_targets = {
    .label = "Network scan target",
    .fields = target_fields,
    .nfields = ARRAY_LEN(target_fields),
    .whole = RESOURCE_WHOLE_PAGE,
    .filters = {"q"},
    RESOURCE_STATEMENTS(NETWORK_SCAN_TARGET),
    .in_use = "Cannot delete network scan target: health checks refer to it",
    .check_stored = target_check,
    .warn = target_warn,
};
