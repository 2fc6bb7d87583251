/*
 * test_served: what a target serves is seen after a deployment and now and
 * then, and the whole of it is told when the server asks.
 */
#include <string.h>

#include "agent/heartbeat.h"
#include "agent/news.h"
#include "agent/served.h"
#include "common/base/clock.h"
#include "tests/unit/agent/rig.h"
#include "tests/unit/agent/sandbox.h"
#include "tests/unit/agent/site.h"
#include "tests/unit/check.h"

#define HEARTBEAT "/api/v1/agents/a-1/heartbeat"
#define SERVED "/api/v1/agents/a-1/served"
#define KNOWN "{\"status\":\"heartbeat_recorded\"}"
#define WANTED "{\"status\":\"heartbeat_recorded\",\"served\":\"wanted\"}"
#define MINUTE 60000
#define OTHER "ab"

static struct site *site;

static bool
last_says(const char *path, const char *words)
{
	const struct rig_request *r = rig_last("POST", path);

	return r && strstr(r->body, words);
}

/* An agent that looks and has heartbeats, and whose only target got a pair. */
static void
begin(bool has_host)
{
	struct agent *a;

	clock_set_fake(0, 1000000);
	site = site_new(has_host);
	a = site->agent;
	news_wire(a);
	rig_answer("POST", SERVED, 200, "{\"forget\":[]}", 0);
	rig_answer("POST", HEARTBEAT, 200, KNOWN, 0);
	a->served = served_start(a);
	a->heartbeat = heartbeat_start(a);
	rig_pass(2 * MINUTE);
	CHECK(last_says(HEARTBEAT, "\"served\":\"none\""));
	site_issue("1", SITE_FAR_AWAY, "[]");
	site_deploy("1");
	CHECK_STR(site_status(), "Completed");
}

static void
a_deployment_changes_the_digest_and_who_asks_is_told(void)
{
	begin(true);
	CHECK(strlen(served_digest(site->agent->served)) == 64);
	CHECK(last_says(HEARTBEAT, served_digest(site->agent->served)));
	CHECK_INT(rig_count("POST", SERVED), 0);
	rig_answer("POST", HEARTBEAT, 200, WANTED, 0);
	rig_pass(2 * MINUTE);
	CHECK(rig_count("POST", SERVED) >= 1);
	CHECK(last_says(SERVED, served_digest(site->agent->served)));
	CHECK(last_says(SERVED, "\"seen_by\":\"handshake\""));
	CHECK(last_says(SERVED, site_fingerprint(site->cert)));
}

/* Though nobody deployed: within a look, and a heartbeat at once. */
static void
what_is_served_instead_is_seen(void)
{
	char before[65];

	begin(true);
	memcpy(before, served_digest(site->agent->served), sizeof(before));
	rig_pass(60 * MINUTE);
	CHECK_STR(served_digest(site->agent->served), before);
	rig_answer("POST", HEARTBEAT, 200, WANTED, 0);
	sandbox_put("served", OTHER);
	rig_pass(6 * MINUTE);
	CHECK(strcmp(served_digest(site->agent->served), before) != 0);
	CHECK(last_says(SERVED, "\"fingerprint_sha256\":\"" OTHER "\""));
}

/* Else who is told of a deployment would never hear that it came to nothing. */
static void
after_a_deployment_it_is_told_though_it_is_as_before(void)
{
	char before[65];
	const char *first;

	begin(true);
	first = site_fingerprint(site->cert);
	memcpy(before, served_digest(site->agent->served), sizeof(before));
	site_issue("2", SITE_FAR_AWAY, "[]");
	site_deploy("2");
	CHECK_STR(site_status(), "Completed");
	rig_answer("POST", HEARTBEAT, 200, WANTED, 0);
	sandbox_put("served", first);
	rig_pass(6 * MINUTE);
	CHECK(last_says(SERVED, first));
	CHECK(strcmp(served_digest(site->agent->served), before) != 0);
}

static void
a_server_that_is_down_is_told_by_its_file(void)
{
	begin(true);
	rig_answer("POST", HEARTBEAT, 200, WANTED, 0);
	site->is_down = true;
	rig_pass(7 * MINUTE);
	CHECK(last_says(SERVED, "\"seen_by\":\"file\""));
	CHECK(last_says(SERVED, site_fingerprint(site->cert)));
	CHECK(last_says(SERVED, "nobody listens"));
}

static void
without_a_host_the_file_tells(void)
{
	begin(false);
	rig_answer("POST", HEARTBEAT, 200, WANTED, 0);
	rig_pass(2 * MINUTE);
	CHECK(last_says(SERVED, "\"seen_by\":\"file\""));
	CHECK(last_says(SERVED, site_fingerprint(site->cert)));
	CHECK(!last_says(SERVED, "\"error\""));
	sandbox_put("etc/.certctl-site.crt/current/fullchain.pem", "none");
	rig_pass(7 * MINUTE);
	CHECK(last_says(SERVED, "what stands there is no certificate"));
	CHECK(!last_says(SERVED, "\"fingerprint_sha256\""));
}

static void
a_target_of_somebody_else_is_forgotten(void)
{
	begin(true);
	rig_answer("POST", SERVED, 200, "{\"forget\":[\"t-1\",\"../x\",7]}", 0);
	rig_answer("POST", HEARTBEAT, 200, WANTED, 0);
	rig_pass(4 * MINUTE); /* two heartbeats */
	CHECK_STR(served_digest(site->agent->served), "none");
	CHECK(last_says(SERVED, "\"targets\":[]"));
	CHECK_INT(sandbox_count("state/served"), 0);
}

static void
all_of_it_is_told_again_after_some_hours(void)
{
	char before[65];

	begin(true);
	memcpy(before, served_digest(site->agent->served), sizeof(before));
	clock_set_fake(0, 7 * 3600 * 1000000LL);
	rig_pass(6 * MINUTE);
	CHECK(strcmp(served_digest(site->agent->served), before) != 0);
}

/* The next agent in these directories knows where to look. */
static void
a_start_knows_its_targets(void)
{
	char before[65];
	struct agent *a;

	begin(true);
	a = site->agent;
	memcpy(before, served_digest(a->served), sizeof(before));
	served_free(a->served);
	a->served = served_start(a);
	CHECK_STR(served_digest(a->served), "");
	rig_pass(2 * MINUTE);
	CHECK_STR(served_digest(a->served), before);
}

CHECK_MAIN(CHECK_ROW(a_deployment_changes_the_digest_and_who_asks_is_told),
    CHECK_ROW(what_is_served_instead_is_seen),
    CHECK_ROW(after_a_deployment_it_is_told_though_it_is_as_before),
    CHECK_ROW(a_server_that_is_down_is_told_by_its_file),
    CHECK_ROW(without_a_host_the_file_tells),
    CHECK_ROW(a_target_of_somebody_else_is_forgotten),
    CHECK_ROW(all_of_it_is_told_again_after_some_hours),
    CHECK_ROW(a_start_knows_its_targets))
