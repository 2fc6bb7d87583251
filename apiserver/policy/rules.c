#include "apiserver/policy/rules.h"

static const char *const access_names[] = {
    [ROUTE_PUBLIC] = "public",
    [ROUTE_PERMISSION] = "permission",
    [ROUTE_SIGNED_IN] = "signed-in",
    [ROUTE_AGENT] = "agent",
    [ROUTE_REGISTER] = "register",
};
static const char *const rate_names[] = {
    [ROUTE_RATED] = "rated",
    [ROUTE_UNRATED] = "unrated",
};

const char *
rules_access_name(enum route_access access)
{
	return access_names[access];
}

struct route_rules
rules_of(const struct route_rules *area, const struct route_rules *own)
{
	struct route_rules all = *area;

	if (own->access)
		all.access = own->access;
	if (own->renderer)
		all.renderer = own->renderer;
	if (own->body)
		all.body = own->body;
	if (own->rate)
		all.rate = own->rate;
	if (own->preflight)
		all.preflight = own->preflight;
	if (own->head)
		all.head = own->head;
	if (own->deadline_ms)
		all.deadline_ms = own->deadline_ms;
	return all;
}

bool
rules_are_whole(const struct route_rules *rules)
{
	return rules->access && rules->renderer && rules->body && rules->rate &&
	       rules->preflight && rules->head && rules->deadline_ms > 0;
}

bool
rules_are_equal(const struct route_rules *a, const struct route_rules *b)
{
	return a->access == b->access && a->renderer == b->renderer &&
	       a->body == b->body && a->rate == b->rate &&
	       a->preflight == b->preflight && a->head == b->head &&
	       a->deadline_ms == b->deadline_ms;
}

size_t
rules_max_body(const struct route_rules *rules, size_t configured)
{
	switch (rules->body) {
	case ROUTE_BODY:
		return configured;
	case ROUTE_SIGNED_BODY:
		return configured < RULES_SIGNED_BODY ? configured
						      : RULES_SIGNED_BODY;
	case ROUTE_SMALL_BODY:
	case ROUTE_NO_BODY:
		break;
	}
	return configured < RULES_SMALL_BODY ? configured : RULES_SMALL_BODY;
}

void
rules_print(struct json_w *w, const struct route_rules *rules,
    size_t configured)
{
	json_w_kv(w, "auth", access_names[rules->access]);
	json_w_kv(w, "renderer", rules->renderer->name);
	json_w_kv_int(w, "max_body",
	    rules->body == ROUTE_NO_BODY
		? 0
		: (int64_t)rules_max_body(rules, configured));
	json_w_kv(w, "rate", rate_names[rules->rate]);
	json_w_kv_bool(w, "preflight", rules->preflight == ROUTE_PREFLIGHT);
	json_w_kv_int(w, "deadline_ms", rules->deadline_ms);
}
