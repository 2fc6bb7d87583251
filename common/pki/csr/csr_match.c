/*
 * Whether a request asks for exactly the names it may have.
 */
#include "common/pki/csr/csr.h"

#include <string.h>
#include <strings.h>

#include "common/pki/asn1/name.h"

struct allowed {
	enum san_type type;
	const char *text; /* addresses in their printed form */
	bool seen;
};

/* Text of the same kind.  A URI's path tells one workload from another
 * (SPIFFE), so URIs alone are compared as they stand. */
static bool
same_name(enum san_type type, const char *a, const char *b)
{
	if (type == SAN_URI)
		return strcmp(a, b) == 0;
	return strcasecmp(a, b) == 0;
}

static struct allowed
allow(struct arena *a, const char *text)
{
	struct allowed w = {.text = text};
	uint8_t addr[16];
	size_t addr_len = 0;
	char ip[46];

	w.type = name_classify(text, addr, &addr_len);
	if (w.type == SAN_IP) {
		name_print_ip(addr, addr_len, ip);
		w.text = arena_strdup(a, ip);
	}
	return w;
}

static bool
mark_seen(struct allowed *list, size_t n, enum san_type type, const char *text)
{
	bool found = false;

	/* All of them: the allowed list may hold a name twice. */
	for (size_t i = 0; i < n; i++) {
		if (list[i].type == type && same_name(type, list[i].text, text))
			found = list[i].seen = true;
	}
	return found;
}

static rc
refuse_extra(struct arena *a, const char *name, const char **out_why)
{
	*out_why = arena_printf(a,
	    "the request asks for %s, which the "
	    "certificate does not name",
	    name);
	return RC_INVALID;
}

rc
csr_match_names(struct arena *a, const struct csr *c, const char *common_name,
    const char *const *sans, size_t nsans, const char **out_why)
{
	struct allowed *list = arena_alloc(a, (nsans + 1) * sizeof(*list));
	size_t n = 0;

	if (common_name && common_name[0])
		list[n++] = allow(a, common_name);
	for (size_t i = 0; i < nsans; i++)
		list[n++] = allow(a, sans[i]);
	if (c->common_name) {
		struct allowed cn = allow(a, c->common_name);

		if (!mark_seen(list, n, cn.type, cn.text))
			return refuse_extra(a, c->common_name, out_why);
	}
	for (size_t i = 0; i < c->nsans; i++) {
		if (!mark_seen(list, n, c->sans[i].type, c->sans[i].text))
			return refuse_extra(a, c->sans[i].text, out_why);
	}
	for (size_t i = 0; i < n; i++) {
		if (!list[i].seen) {
			*out_why = arena_printf(a, "the request lacks %s",
			    list[i].text);
			return RC_INVALID;
		}
	}
	return RC_OK;
}
