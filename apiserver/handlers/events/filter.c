/*
 * What a listener asked for.
 */
#include <string.h>

#include "apiserver/handlers/events/events.h"
#include "common/base/attr.h"

static const char *const key_names[EVENT_NKEYS] = {
    [EVENT_KEY_AGENT] = "agent_id",
    [EVENT_KEY_CERTIFICATE] = "certificate_id",
    [EVENT_KEY_CONDITION] = "condition",
    [EVENT_KEY_DUTY] = "duty",
    [EVENT_KEY_HEALTH_CHECK] = "health_check_id",
    [EVENT_KEY_ISSUER] = "issuer_id",
    [EVENT_KEY_JOB] = "job_id",
    [EVENT_KEY_REPLACEMENT] = "replacement_id",
    [EVENT_KEY_STATUS] = "status",
    [EVENT_KEY_TARGET] = "target_id",
    [EVENT_KEY_TEAM] = "team_id",
};

/* Of all kinds. */
static const char *const statuses[] = {
#define EVENT_STATUS(word) word,
#include "common/policy/event_statuses.def"
#undef EVENT_STATUS
};

/* Who waits for what never comes is told so. */
static bool
are_statuses(struct arena *a, const char *const *items, size_t n,
    const char **out_why)
{
	size_t k;

	for (size_t i = 0; i < n; i++) {
		for (k = 0; k < ARRAY_LEN(statuses); k++) {
			if (strcmp(items[i], statuses[k]) == 0)
				break;
		}
		if (k == ARRAY_LEN(statuses)) {
			*out_why = arena_printf(a,
			    "status: there is no \"%s\"; docs/reference/"
			    "events.md has those of each kind",
			    items[i]);
			return false;
		}
	}
	return true;
}

/* Those between commas; NULL and why not. */
static const char **
split(struct arena *a, const char *name, const char *text, size_t *out_n,
    const char **out_why)
{
	char *copy = arena_printf(a, "%s", text), *rest = copy, *item;
	const char **items = arena_alloc(a, EVENT_VALUES_MAX * sizeof(*items));

	*out_n = 0;
	while ((item = strsep(&rest, ",")) != NULL) {
		if (*out_n == EVENT_VALUES_MAX || !path_id_is_valid(item)) {
			*out_why = arena_printf(a,
			    "%s: 1 to %d ids or words, commas between", name,
			    EVENT_VALUES_MAX);
			return NULL;
		}
		items[(*out_n)++] = item;
	}
	return items;
}

static rc
read_kinds(struct arena *a, struct event_filter *f, const char *text,
    const char **out_why)
{
	size_t n, k;
	const char **items = split(a, "kind", text, &n, out_why);

	if (!items)
		return RC_INVALID;
	f->says_kinds = true;
	f->kinds = 0;
	for (size_t i = 0; i < n; i++) {
		for (k = 0; k < EVENT_NKINDS; k++) {
			if (strcmp(items[i], event_kind_names[k]) == 0)
				break;
		}
		if (k == EVENT_NKINDS) {
			*out_why = arena_printf(a,
			    "kind: there is no \"%s\"; there are agent, "
			    "certificate, condition, deployment, duty, "
			    "health_check, job and replacement",
			    items[i]);
			return RC_INVALID;
		}
		f->kinds |= 1U << k;
	}
	return RC_OK;
}

rc
event_filter_read(struct arena *a, const struct path *query,
    struct event_filter *out, const char **out_why)
{
	struct event_filter f = {.kinds = (1U << EVENT_NKINDS) - 1};
	const char *text = path_query(query, "kind");
	rc ret = RC_OK;

	if (text && *text)
		ret = read_kinds(a, &f, text, out_why);
	else if (text)
		ret = RC_INVALID, *out_why = "kind: one is missing";
	for (size_t i = 0; ret == RC_OK && i < EVENT_NKEYS; i++) {
		text = path_query(query, key_names[i]);
		if (!text)
			continue;
		f.values[i] = split(a, key_names[i], text, &f.n[i], out_why);
		if (!f.values[i] ||
		    (i == EVENT_KEY_STATUS &&
			!are_statuses(a, f.values[i], f.n[i], out_why)))
			ret = RC_INVALID;
	}
	if (ret == RC_OK)
		*out = f;
	return ret;
}

static bool
has_value(const struct event_filter *f, size_t key, const char *value)
{
	for (size_t i = 0; value && i < f->n[key]; i++) {
		if (strcmp(f->values[key][i], value) == 0)
			return true;
	}
	return false;
}

bool
event_filter_has(const struct event_filter *f, unsigned allowed,
    const struct event *e)
{
	if (e->kind == EVENT_RESET)
		return true;
	if (e->kind >= EVENT_NKINDS || e->len == 0 ||
	    (f->kinds & allowed & 1U << e->kind) == 0)
		return false;
	for (size_t i = 0; i < EVENT_NKEYS; i++) {
		if (f->values[i] && !has_value(f, i, e->keys[i]))
			return false;
	}
	return true;
}
