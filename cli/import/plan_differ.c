#include "cli/import/plan.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "common/json/json.h"

/* Whether the text is one of the list. */
static bool
holds(const struct cJSON *list, const struct cJSON *text)
{
	const struct cJSON *one;

	cJSON_ArrayForEach(one, list)
	{
		if (cJSON_IsString(one) &&
		    strcmp(one->valuestring, text->valuestring) == 0)
			return true;
	}
	return false;
}

/* The first of some texts that others lack, or NULL. */
static const char *
find_lacking(const struct cJSON *some, const struct cJSON *others)
{
	const struct cJSON *one;

	cJSON_ArrayForEach(one, some)
	{
		if (cJSON_IsString(one) && !holds(others, one))
			return one->valuestring;
	}
	return NULL;
}

static const char *
value_text(struct arena *a, const struct cJSON *v)
{
	return v && !cJSON_IsNull(v) ? json_text(a, v) : "not set";
}

static const char *
differ_in(struct arena *a, const char *name, const struct cJSON *there,
    const struct cJSON *here)
{
	return arena_printf(a, "%s is %s there and %s here", name,
	    value_text(a, there), value_text(a, here));
}

/* The keys that are wanted; what there is beside them is its owner's. */
static const char *
members_differ(struct arena *a, const struct cJSON *want,
    const struct cJSON *there)
{
	const struct cJSON *one, *other;

	cJSON_ArrayForEach(one, want)
	{
		other = cJSON_IsObject(there)
			    ? json_get_exact(there, one->string)
			    : NULL;
		if (!other || !cJSON_Compare(one, other, true))
			return differ_in(a,
			    arena_printf(a, "%s.%s", want->string, one->string),
			    other, one);
	}
	return NULL;
}

/* Both ways: a name more is another certificate. */
static const char *
sans_differ(struct arena *a, const struct cJSON *want,
    const struct cJSON *there)
{
	const char *name = find_lacking(want, there);

	if (name)
		return arena_printf(a, "it lacks the name %s there", name);
	name = find_lacking(there, want);
	return name ? arena_printf(a, "it has the name %s there", name) : NULL;
}

const char *
plan_differs(struct arena *a, const struct cJSON *body,
    const struct cJSON *there, bool *out_lacks)
{
	const struct cJSON *want, *is;
	const char *lacking = NULL, *why;

	*out_lacks = false;
	cJSON_ArrayForEach(want, body)
	{
		is = json_get(there, want->string);
		why = NULL;
		if (strcmp(want->string, "target_ids") == 0)
			lacking = find_lacking(want, is);
		else if (strcmp(want->string, "sans") == 0)
			why = sans_differ(a, want, is);
		else if (cJSON_IsObject(want))
			why = members_differ(a, want, is);
		else if (!is || !cJSON_Compare(want, is, true))
			why = differ_in(a, want->string, is, want);
		if (why)
			return why;
	}
	if (!lacking)
		return NULL;
	*out_lacks = true;
	return arena_printf(a, "it lacks the target %s", lacking);
}
