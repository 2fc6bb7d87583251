/* Who is let through the gate, and what the others are told. */
#include "apiserver/policy/authz.h"
#include "tests/unit/apiserver/policy/gate_rig.h"
#include "tests/unit/check.h"

#define OPS FIXTURE_ADMIN_KEY
#define READER FIXTURE_READER_KEY
#define TOKEN FIXTURE_TOKEN
#define STORED "stored-key-0123456789"
#define AGENT_KEY "agents-key-0123456789"
#define THINGS "/api/v1/things"
#define AGENTS "/api/v1/agents"
#define FORBIDDEN "{\"error\":\"Insufficient permissions\"}"

static struct rig g;
static struct exchange x;

static int
ask(const char *method, const char *path, const char *key)
{
	rig_ask(&g, &x, method, path, key, 0);
	return x.status;
}

static void
begin(void)
{
	x = (struct exchange){.when_asked = RC_OK};
	rig_init(&g, 0);
}

static void
end(void)
{
	CHECK(db_script_is_done(g.f.db));
	rig_fini(&g);
}

static void
check_401(const char *error)
{
	CHECK_INT(x.status, 401);
	CHECK_STR(x.body, error);
	CHECK_STR(x.type, "text/plain; charset=utf-8");
	CHECK_STR(x.challenge, "Bearer realm=\"certctl\"");
}

static void
test_words_of_401(void)
{
	begin();
	(void)ask("GET", THINGS, NULL);
	check_401("{\"error\":\"Authorization header required\"}\n");
	rig_ask_with(&g, &x, "Basic eDp5", THINGS);
	check_401("{\"error\":\"Invalid Authorization header format, "
		  "expected: Bearer <token>\"}\n");
	rig_expect_no_key(&g, "nobodys-key");
	(void)ask("GET", THINGS, "nobodys-key");
	check_401("{\"error\":\"Invalid API key\"}\n");
	/* Remembered for a moment: no statement the second time. */
	(void)ask("GET", THINGS, "nobodys-key");
	check_401("{\"error\":\"Invalid API key\"}\n");
	CHECK_INT(g.nstarted, 0);
	end();
}

static void
test_an_administrator(void)
{
	begin();
	CHECK_INT(ask("POST", THINGS, OPS), 200);
	CHECK_STR(x.body,
	    "{\"who\":\"ops\",\"type\":\"APIKey\",\"body\":\"\"}\n");
	CHECK_INT(ask("GET", THINGS "/iss-1", OPS), 200);
	CHECK_INT(ask("POST", AGENTS, OPS), 200);
	CHECK_INT(ask("GET", AGENTS "/ag-1/work", OPS), 200);
	CHECK_INT(ask("GET", "/api/v1/check", OPS), 200);
	end();
}

static void
test_a_configured_key_holds_its_roles(void)
{
	begin();
	rig_expect_grants(&g, "reader|APIKey|r-viewer",
	    "thing.read|global|\\N\nzone.read|global|\\N");
	CHECK_INT(ask("GET", THINGS, READER), 200);
	CHECK_STR(x.body,
	    "{\"who\":\"reader\",\"type\":\"APIKey\",\"body\":\"\"}\n");
	/* Remembered: no further statement, for yes and for no. */
	CHECK_INT(ask("GET", THINGS "/iss-1", READER), 200);
	CHECK_INT(ask("POST", THINGS, READER), 403);
	CHECK_STR(x.body, FORBIDDEN);
	CHECK_STR(x.type, "application/json; charset=utf-8");
	CHECK_INT(ask("POST", AGENTS, READER), 403);
	CHECK_INT(ask("GET", AGENTS "/ag-1/work", READER), 403);
	CHECK_INT(g.nstarted, 2);
	/* For less than a second, or until they are changed here. */
	loop_sim_advance(g.f.api.loop, 901);
	rig_expect_grants(&g, "reader|*|*", "thing.read|global|\\N");
	CHECK_INT(ask("GET", THINGS, READER), 200);
	authz_changed(g.f.api.authz);
	rig_expect_grants(&g, "reader|*|*", "");
	CHECK_INT(ask("GET", THINGS, READER), 403);
	end();
}

static void
test_a_stored_key_holds_no_more(void)
{
	begin();
	rig_expect_key(&g, STORED, "key", "alice", false);
	rig_expect_grants(&g, "alice|APIKey|\\N", "");
	CHECK_INT(ask("GET", THINGS, STORED), 403);
	CHECK_INT(g.nstarted, 0);
	/* Signed in it is all the same. */
	CHECK_INT(ask("GET", "/api/v1/check", STORED), 200);
	end();
}

static void
test_a_grant_for_one_object(void)
{
	begin();
	rig_expect_key(&g, STORED, "key", "alice", false);
	rig_expect_grants(&g, "alice|*|\\N",
	    "thing.edit|issuer|iss-1\nthing.read|issuer|iss-1\n"
	    "thing.read|profile|iss-3");
	CHECK_INT(ask("GET", THINGS "/iss-1", STORED), 200);
	CHECK_INT(ask("GET", THINGS "/iss-2", STORED), 403);
	CHECK_INT(ask("GET", THINGS "/iss-3", STORED), 403); /* a profile's */
	CHECK_INT(ask("GET", THINGS, STORED), 403);
	/* The row says nothing of a scope: a whole grant is needed. */
	CHECK_INT(ask("PUT", THINGS "/iss-1/x", STORED), 403);
	CHECK_INT(g.nstarted, 1);
	end();
}

static void
test_the_bootstrap_token_registers(void)
{
	begin();
	CHECK_INT(ask("POST", AGENTS, TOKEN), 200);
	CHECK_STR(x.body, "{\"who\":\"agent-bootstrap\",\"type\":\"Anonymous\","
			  "\"body\":\"\"}\n");
	(void)ask("GET", THINGS, TOKEN);
	check_401("{\"error\":\"Invalid API key\"}\n");
	(void)ask("GET", "/api/v1/check", TOKEN);
	check_401("{\"error\":\"Invalid API key\"}\n");
	(void)ask("GET", AGENTS "/agent-bootstrap/work", TOKEN);
	check_401("{\"error\":\"Invalid API key\"}\n");
	(void)ask("POST", "/api/v1/jobs/job-1/verify", TOKEN);
	check_401("{\"error\":\"Invalid API key\"}\n");
	CHECK_INT(g.nstarted, 1);
	end();
}

static void
test_registering_says_what_it_wants(void)
{
	begin();
	rig_expect_no_key(&g, "nobodys-key");
	for (int i = 0; i < 2; i++) {
		CHECK_INT(ask("POST", AGENTS, i ? "nobodys-key" : NULL), 401);
		CHECK(
		    strstr(x.body,
			"\"message\":\"invalid_or_missing_bootstrap_token\"") !=
		    NULL);
		CHECK_STR(x.type, "application/json");
		CHECK_STR(x.challenge, "Bearer realm=\"certctl\"");
	}
	/* Other refusals are the same as everywhere. */
	rig_expect_grants(&g, "reader|*|*", "");
	CHECK_INT(ask("POST", AGENTS, READER), 403);
	CHECK_STR(x.body, FORBIDDEN);
	CHECK_INT(g.nstarted, 0);
	end();
}

static void
test_an_agents_own_key(void)
{
	begin();
	rig_expect_key(&g, AGENT_KEY, "agent", "ag-1", false);
	rig_expect_grants(&g, "|Agent|r-agent",
	    "agent.job.poll|global|\\N\nthing.read|global|\\N\n"
	    "verification.run|global|\\N");
	CHECK_INT(ask("GET", AGENTS "/ag-1/work", AGENT_KEY), 200);
	CHECK_STR(x.body,
	    "{\"who\":\"ag-1\",\"type\":\"Agent\",\"body\":\"\"}\n");
	CHECK_INT(ask("GET", AGENTS "/ag-2/work", AGENT_KEY), 403);
	CHECK_INT(ask("GET", AGENTS "/ag-11/work", AGENT_KEY), 403);
	/* The role may read, its own key may not: that is for shared keys. */
	CHECK_INT(ask("GET", THINGS, AGENT_KEY), 403);
	CHECK_INT(ask("GET", THINGS "/ag-1", AGENT_KEY), 403);
	CHECK_INT(ask("POST", AGENTS, AGENT_KEY), 403);
	CHECK_INT(ask("POST", "/api/v1/jobs/job-1/verify", AGENT_KEY), 200);
	CHECK_INT(ask("GET", "/api/v1/check", AGENT_KEY), 200);
	CHECK_INT(g.nstarted, 3);
	end();
}

static void
test_an_agents_role_counts_too(void)
{
	begin();
	rig_expect_key(&g, AGENT_KEY, "agent", "ag-1", false);
	rig_expect_grants(&g, "|Agent|r-agent", "");
	CHECK_INT(ask("GET", AGENTS "/ag-1/work", AGENT_KEY), 403);
	CHECK_INT(ask("POST", "/api/v1/jobs/job-1/verify", AGENT_KEY), 403);
	CHECK_INT(g.nstarted, 0);
	end();
}

static void
test_a_retired_agent(void)
{
	begin();
	rig_expect_key(&g, AGENT_KEY, "agent", "ag-1", true);
	CHECK_INT(ask("GET", AGENTS "/ag-1/work", AGENT_KEY), 410);
	CHECK(strstr(x.body, "\"message\":\"Agent has been retired\"") != NULL);
	CHECK_INT(ask("GET", "/api/v1/check", AGENT_KEY), 410);
	CHECK_INT(ask("GET", THINGS, AGENT_KEY), 410);
	CHECK_INT(g.nstarted, 0);
	end();
}

/* --- lookups that fail --- */

static void
check_unavailable(void)
{
	CHECK_INT(x.status, 503);
	CHECK_STR(x.retry_after, "1");
	CHECK(strstr(x.body, "try again") != NULL);
	CHECK(strstr(x.body, "secret") == NULL);
}

static void
check_lookup_failed(void)
{
	CHECK_INT(x.status, 500);
	CHECK_STR(x.body, "{\"error\":\"Internal error\"}");
	CHECK_STR(x.type, "application/json; charset=utf-8");
}

static void
test_nobody_can_say_who_asks(void)
{
	begin();
	db_script_expect(g.f.db, Q_AUTH_BY_HASH, NULL);
	db_script_error(g.f.db, "", "secret: no connection", NULL);
	(void)ask("GET", THINGS, STORED);
	check_unavailable();
	db_script_expect(g.f.db, Q_AUTH_BY_HASH, NULL);
	db_script_code(g.f.db, RC_BUSY);
	(void)ask("GET", THINGS, STORED);
	check_unavailable();
	db_script_expect(g.f.db, Q_AUTH_BY_HASH, NULL);
	db_script_error(g.f.db, "42501", "secret: permission denied", NULL);
	(void)ask("GET", THINGS, STORED);
	check_lookup_failed();
	/* None of it was taken for an answer. */
	rig_expect_key(&g, STORED, "key", "alice", false);
	rig_expect_grants(&g, "alice|*|\\N", "thing.read|global|\\N");
	CHECK_INT(ask("GET", THINGS, STORED), 200);
	CHECK_INT(g.nstarted, 1);
	end();
}

static void
test_nobody_can_say_whether_they_may(void)
{
	begin();
	db_script_expect(g.f.db, Q_AUTHZ_PERMISSIONS, NULL);
	db_script_error(g.f.db, "", "secret: no connection", NULL);
	(void)ask("GET", THINGS, READER);
	check_unavailable();
	db_script_expect(g.f.db, Q_AUTHZ_PERMISSIONS, NULL);
	db_script_error(g.f.db, "42P01", "secret: no such table", NULL);
	(void)ask("GET", THINGS, READER);
	check_lookup_failed();
	rig_expect_grants(&g, "reader|*|*", "thing.read|global|\\N");
	CHECK_INT(ask("GET", THINGS, READER), 200);
	CHECK_INT(g.nstarted, 1);
	end();
}

/* What the gate catches it catches for itself: a handler's statement that
 * fails is none of its lookups. */
static void
test_a_handlers_failure_is_its_own(void)
{
	begin();
	rig_expect_grants(&g, "reader|*|*", "thing.read|global|\\N");
	db_script_expect(g.f.db, Q_JOB_GET, "job-1");
	db_script_error(g.f.db, "42501", "secret: permission denied", NULL);
	CHECK_INT(ask("GET", "/api/v1/broken", READER), 500);
	CHECK(strstr(x.body, "\"message\":\"internal error\"") != NULL);
	CHECK(strstr(x.body, "\"request_id\":\"") != NULL);
	CHECK(strstr(x.body, "secret") == NULL);
	CHECK_INT(g.nstarted, 1);
	end();
}

/* --- how it looks --- */

static void
check_other(const char *method, const char *path, const char *key,
    const char *body)
{
	rig_ask(&g, &x, method, path, key,
	    strcmp(method, "POST") == 0 ? RIG_MAX_BODY + 1 : 0);
	CHECK_INT(x.status, 499);
	CHECK_STR(x.type, "other");
	CHECK_STR(x.body, body);
}

static void
check_other_refuses(const char *method, const char *path, const char *key,
    enum refusal why)
{
	char body[32];

	(void)snprintf(body, sizeof(body), "refusal %d", (int)why);
	check_other(method, path, key, body);
}

/* All that is told below an area's prefix, its renderer tells. */
static void
test_another_renderer(void)
{
	begin();
	check_other_refuses("GET", "/other/no", OPS, REFUSAL_NO_PATH);
	check_other_refuses("OPTIONS", "/other/no", OPS, REFUSAL_NO_PATH);
	check_other_refuses("GET", "/other/no", NULL, REFUSAL_NO_KEY);
	check_other_refuses("DELETE", "/other/things", OPS, REFUSAL_NO_METHOD);
	CHECK_STR(x.allow, "GET, POST");
	check_other_refuses("GET", "/other/things", NULL, REFUSAL_NO_KEY);
	rig_expect_no_key(&g, "nobodys-key");
	check_other_refuses("GET", "/other/things", "nobodys-key",
	    REFUSAL_BAD_KEY);
	rig_ask_with(&g, &x, "Basic eDp5", "/other/things");
	CHECK_STR(x.type, "other");
	db_script_expect(g.f.db, Q_AUTHZ_PERMISSIONS, NULL);
	db_script_error(g.f.db, "42P01", "no such table", NULL);
	check_other_refuses("GET", "/other/things", READER, REFUSAL_LOOKUP);
	rig_expect_grants(&g, "reader|*|*", "");
	check_other_refuses("GET", "/other/things", READER, REFUSAL_FORBIDDEN);
	check_other("POST", "/other/things", OPS, "error 413");
	db_script_expect(g.f.db, Q_JOB_GET, NULL);
	db_script_code(g.f.db, RC_BUSY);
	check_other("GET", "/other/broken", OPS, "error 503");
	CHECK_INT(ask("GET", "/other", NULL), 404);
	end();
	rig_init(&g, 1);
	CHECK_INT(ask("GET", "/other/things", OPS), 200);
	check_other_refuses("GET", "/other/things", OPS, REFUSAL_RATE);
	check_other_refuses("GET", "/other/no", NULL, REFUSAL_NO_KEY);
	check_other_refuses("GET", "/other/no", NULL, REFUSAL_RATE);
	rig_fini(&g);
}

CHECK_MAIN(CHECK_ROW(test_words_of_401), CHECK_ROW(test_an_administrator),
    CHECK_ROW(test_a_configured_key_holds_its_roles),
    CHECK_ROW(test_a_stored_key_holds_no_more),
    CHECK_ROW(test_a_grant_for_one_object),
    CHECK_ROW(test_the_bootstrap_token_registers),
    CHECK_ROW(test_registering_says_what_it_wants),
    CHECK_ROW(test_an_agents_own_key),
    CHECK_ROW(test_an_agents_role_counts_too), CHECK_ROW(test_a_retired_agent),
    CHECK_ROW(test_nobody_can_say_who_asks),
    CHECK_ROW(test_nobody_can_say_whether_they_may),
    CHECK_ROW(test_a_handlers_failure_is_its_own),
    CHECK_ROW(test_another_renderer))
