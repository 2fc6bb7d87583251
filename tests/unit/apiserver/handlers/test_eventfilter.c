/*
 * test_eventfilter: what a listener of live events asked for, and which events
 * that is.
 */
#include "apiserver/handlers/events/events.h"

#include "common/base/attr.h"
#include "tests/unit/check.h"

#define ALL ((1U << EVENT_NKINDS) - 1)

static struct arena *arena;
static struct event_filter filter;
static const char *why;

static rc
ask(const char *query)
{
	struct path p;
	rc ret;

	arena_free(arena);
	arena = arena_new();
	why = NULL;
	ret = path_parse(arena_printf(arena, "/events?%s", query), &p);
	return ret == RC_OK ? event_filter_read(arena, &p, &filter, &why) : ret;
}

static bool
has(enum event_kind kind, const char *certificate, const char *status)
{
	struct event e = {.kind = kind, .len = 1, .text = "x"};

	e.keys[EVENT_KEY_CERTIFICATE] = certificate;
	e.keys[EVENT_KEY_STATUS] = status;
	return event_filter_has(&filter, ALL, &e);
}

static void
without_a_filter_all_is_asked_for(void)
{
	CHECK_INT(ask(""), RC_OK);
	CHECK(!filter.says_kinds);
	CHECK_INT(filter.kinds, ALL);
	CHECK(has(EVENT_JOB, NULL, NULL));
	CHECK(has(EVENT_AGENT, "c", "Online"));
	CHECK(!has(EVENT_ACCESS, NULL, NULL));
}

static void
all_that_are_given_must_fit_and_one_of_each(void)
{
	CHECK_INT(ask("kind=job,certificate&certificate_id=a,b&status=Failed"),
	    RC_OK);
	CHECK(filter.says_kinds);
	CHECK(has(EVENT_JOB, "b", "Failed"));
	CHECK(has(EVENT_CERTIFICATE, "a", "Failed"));
	CHECK(!has(EVENT_JOB, "c", "Failed"));
	CHECK(!has(EVENT_JOB, "a", "Running"));
	CHECK(!has(EVENT_JOB, "a", NULL));
	CHECK(!has(EVENT_JOB, NULL, "Failed"));
	CHECK(!has(EVENT_AGENT, "a", "Failed"));
	CHECK(has(EVENT_RESET, NULL, NULL)); /* concerns everybody */
}

static void
what_a_key_may_not_see_does_not_fit(void)
{
	struct event e = {.kind = EVENT_JOB, .len = 1, .text = "x"};

	CHECK_INT(ask(""), RC_OK);
	CHECK(!event_filter_has(&filter, ALL & ~(1U << EVENT_JOB), &e));
	CHECK(event_filter_has(&filter, 1U << EVENT_JOB, &e));
	e.len = 0; /* its object is gone */
	CHECK(!event_filter_has(&filter, ALL, &e));
}

static void
what_cannot_be_used_is_named(void)
{
	static const struct {
		const char *query, *says;
	} all[] = {
	    {"kind=", "kind"},
	    {"kind=job,", "kind"},
	    {"kind=nothing", "nothing"},
	    {"status=active", "active"},
	    {"status=Active,Odd", "Odd"},
	    {"agent_id=", "agent_id"},
	    {"agent_id=a,,b", "agent_id"},
	    {"team_id=..", "team_id"},
	    {"issuer_id=a%20b", "issuer_id"},
	    {"target_id=-a", "target_id"},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		CHECK_INT(ask(all[i].query), RC_INVALID);
		CHECK(why && strstr(why, all[i].says));
	}
}

static void
values_are_counted(void)
{
	const char *query = "job_id=j";

	for (int i = 1; i < EVENT_VALUES_MAX; i++)
		query = arena_printf(arena, "%s,j", query);
	query = strdupa(query);
	CHECK_INT(ask(query), RC_OK);
	CHECK_INT(filter.n[EVENT_KEY_JOB], EVENT_VALUES_MAX);
	query = strdupa(arena_printf(arena, "%s,j", query));
	CHECK_INT(ask(query), RC_INVALID);
	CHECK(strstr(why, "100"));
}

CHECK_MAIN(CHECK_ROW(without_a_filter_all_is_asked_for),
    CHECK_ROW(all_that_are_given_must_fit_and_one_of_each),
    CHECK_ROW(what_a_key_may_not_see_does_not_fit),
    CHECK_ROW(what_cannot_be_used_is_named), CHECK_ROW(values_are_counted))
