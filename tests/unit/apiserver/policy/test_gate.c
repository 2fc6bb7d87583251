/* What the gate asks, in which order, and at what rate. */
#include "apiserver/policy/apievents.h"
#include "common/base/clock.h"
#include "tests/unit/apiserver/policy/gate_rig.h"
#include "tests/unit/check.h"

#define OPS FIXTURE_ADMIN_KEY
#define READER FIXTURE_READER_KEY
#define WRONG "nobodys-key-0123456789"
#define THINGS "/api/v1/things"
#define LIMITED "{\"error\":\"Rate limit exceeded\"}"

static struct rig g;
static struct exchange x;

static int
ask(const char *method, const char *path, const char *key, size_t length)
{
	rig_ask(&g, &x, method, path, key, length);
	return x.status;
}

static void
begin(int burst)
{
	x = (struct exchange){.when_asked = RC_OK};
	rig_init(&g, burst);
}

static void
end(void)
{
	CHECK(db_script_is_done(g.f.db));
	rig_fini(&g);
}

/* --- is it a request? --- */

static void
test_unknown_paths_and_methods(void)
{
	begin(0);
	CHECK_INT(ask("GET", "/no/such", NULL, 0), 404);
	CHECK_STR(x.body, "404 page not found\n");
	CHECK_STR(x.type, "text/plain; charset=utf-8");
	/* Which paths there are below a prefix that wants keys, strangers are
	 * not told. */
	rig_expect_no_key(&g, WRONG);
	CHECK_INT(ask("GET", "/api/v1/no-such", NULL, 0), 401);
	CHECK_INT(ask("GET", "/api/v1/no-such", WRONG, 0), 401);
	CHECK_INT(ask("DELETE", THINGS, NULL, 0), 401);
	CHECK_STR(x.allow, "");
	CHECK_INT(ask("HEAD", "/api/v1/agents", NULL, 0), 401);
	CHECK_INT(ask("GET", "/api/v1/no-such", OPS, 0), 404);
	CHECK_STR(x.body, "404 page not found\n");
	CHECK_INT(ask("GET", "/api/v1/no-such", READER, 1), 404);
	CHECK_INT(ask("DELETE", THINGS, OPS, 0), 405);
	CHECK_STR(x.allow, "GET, POST");
	CHECK_STR(x.body, "Method Not Allowed\n");
	CHECK_INT(ask("DELETE", "/api/v1/version", NULL, 0), 405);
	CHECK_INT(ask("HEAD", "/health", NULL, 0), 405);
	CHECK_STR(x.type, "application/json");
	CHECK_STR(x.allow, "GET");
	/* Where there is no GET it is a method as any other. */
	CHECK_INT(ask("HEAD", "/api/v1/agents", OPS, 0), 405);
	CHECK_STR(x.body, "Method Not Allowed\n");
	CHECK_INT(ask("GET", "/api/v1/things?a=%00", OPS, 0), 400);
	CHECK(strstr(x.body, "the request target is malformed") != NULL);
	CHECK(strstr(x.body, "\"request_id\":\"") != NULL);
	CHECK_INT(g.nstarted, 0);
	end();
}

static void
test_preflight(void)
{
	begin(2);
	CHECK_INT(ask("OPTIONS", THINGS, NULL, 0), 204);
	CHECK_STR(x.body, "");
	CHECK_INT(ask("OPTIONS", "/api/v1/no/such", WRONG, 0), 204);
	/* It costs a token, as whatever shows no good key. */
	CHECK_INT(ask("OPTIONS", THINGS, NULL, 0), 429);
	loop_sim_advance(g.f.api.loop, 0);
	rig_fini(&g);
	begin(0);
	CHECK_INT(ask("OPTIONS", "/api/v1/version", NULL, 0), 405);
	CHECK_STR(x.allow, "GET");
	CHECK_INT(ask("OPTIONS", "/health", NULL, 0), 405);
	CHECK_INT(ask("OPTIONS", "/no/such", NULL, 0), 404);
	CHECK_INT(ask("OPTIONS", "/api/v1", NULL, 0), 404);
	CHECK_INT(ask("OPTIONS", "*", NULL, 0), 204);
	CHECK_STR(x.body, "");
	CHECK_INT(g.nstarted, 0);
	end();
}

/* A request with every fault is told of them in this order. */
static void
test_order(void)
{
	const char *bad = THINGS "/-x/a/../b";
	size_t large = RIG_MAX_BODY + 1;

	begin(0);
	rig_expect_no_key(&g, WRONG);
	rig_expect_grants(&g, "reader|APIKey|r-viewer",
	    "thing.read|global|\\N");
	CHECK_INT(ask("PUT", bad, NULL, large), 401);
	CHECK_INT(ask("PUT", bad, WRONG, large), 401);
	CHECK_INT(ask("POST", "/api/v1/things/-x/a/../b", READER, large), 405);
	CHECK_INT(ask("PUT", bad, READER, large), 403);
	CHECK_INT(ask("PUT", bad, OPS, large), 400);
	CHECK(strstr(x.body, "\"id in the path is malformed\"") != NULL);
	CHECK_INT(ask("PUT", THINGS "/x/a/../b", OPS, large), 400);
	CHECK(strstr(x.body, "\"file in the path is malformed\"") != NULL);
	CHECK_INT(ask("PUT", THINGS "/x/a/b", OPS, large), 413);
	CHECK(strstr(x.body, "\"the request body is too large\"") != NULL);
	/* Nobody's body was read so far. */
	CHECK_INT(x.nasked, 0);
	CHECK_INT(g.nstarted, 0);
	CHECK_INT(ask("PUT", THINGS "/x/a/b", OPS, large - 1), 200);
	CHECK_INT(x.nasked, 1);
	CHECK_INT(g.nstarted, 1);
	end();
}

/* How long it took is measured by a clock that nobody sets. */
static void
test_an_event_tells_how_long_it_took(void)
{
	begin(0);
	g.f.api.apievents = apievents_new(g.f.api.loop, g.f.db);
	x.when_asked = RC_BUSY;
	clock_set_fake(5000, 1795463788000000);
	CHECK_INT(ask("POST", THINGS, OPS, 5), 0);
	clock_set_fake(5007, 1795460000000000);
	rig_body(&g, &x, "12345");
	CHECK_INT(x.status, 200);
	clock_set_fake(-1, 0);
	db_script_expect(g.f.db, Q_AUDIT_API_EVENTS, "*|*|*|*latency_ms*:7}*");
	loop_sim_advance(g.f.api.loop, 1000);
	apievents_free(g.f.api.apievents);
	end();
}

/* --- the body --- */

static void
test_a_body_comes_before_the_handler(void)
{
	begin(0);
	x.when_asked = RC_BUSY;
	CHECK_INT(ask("POST", THINGS, OPS, 5), 0);
	CHECK_INT(x.nasked, 1);
	CHECK_INT(g.nstarted, 0);
	loop_sim_advance(g.f.api.loop, 59000);
	CHECK(!x.is_answered);
	rig_body(&g, &x, "later");
	CHECK_INT(x.status, 200);
	CHECK_STR(x.body,
	    "{\"who\":\"ops\",\"type\":\"APIKey\",\"body\":\"later\"}\n");
	/* The row's time, whole: the client's slowness is not the handler's. */
	CHECK_INT(g.left_ms, 7000);
	end();
}

static void
test_a_body_that_does_not_come(void)
{
	begin(0);
	x.when_asked = RC_BUSY;
	CHECK_INT(ask("POST", THINGS, OPS, 5), 0);
	loop_sim_advance(g.f.api.loop, 61000);
	CHECK_INT(x.status, 503);
	CHECK_STR(x.retry_after, "1");
	/* Whoever else wakes it has no body for it either. */
	CHECK_INT(ask("POST", THINGS, OPS, 5), 0);
	op_wake(x.r->op);
	loop_sim_advance(g.f.api.loop, 0);
	CHECK_INT(x.status, 503);
	CHECK_INT(g.nstarted, 0);
	end();
}

static void
test_a_body_that_is_refused(void)
{
	begin(0);
	x.when_asked = RC_BUSY;
	CHECK_INT(ask("POST", THINGS, OPS, 5), 0);
	rig_refuse_body(&g, &x, 408, "too slow");
	CHECK_INT(x.status, 408);
	CHECK(strstr(x.body, "\"too slow\"") != NULL);
	CHECK(x.must_close);
	x.when_asked = RC_INVALID;
	CHECK_INT(ask("POST", THINGS, OPS, 5), 503);
	CHECK(strstr(x.body, "\"no room\"") != NULL);
	CHECK(x.must_close);
	CHECK_INT(g.nstarted, 0);
	end();
}

static void
test_no_body_is_asked_for_where_there_is_none(void)
{
	begin(0);
	CHECK_INT(ask("POST", THINGS, OPS, 0), 200);
	CHECK_INT(x.nasked, 0);
	CHECK_INT(g.nstarted, 1);
	end();
}

static void
test_public_routes(void)
{
	begin(0);
	/* No credential is looked at, not even one that is none. */
	CHECK_INT(ask("GET", "/open", WRONG, 0), 200);
	CHECK_STR(x.body,
	    "{\"who\":\"\",\"type\":\"Anonymous\",\"body\":\"\"}\n");
	rig_ask_with(&g, &x, "Basic eDp5", "/api/v1/version");
	CHECK_INT(x.status, 200);
	CHECK_INT(g.left_ms, 30000);
	end();
}

/* Some clients send a body with whatever they ask; so small a one is let in,
 * though nobody reads it. */
static void
test_a_body_that_nobody_reads(void)
{
	static const char *const paths[] = {"/open", "/api/v1/version", THINGS};

	begin(0);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		CHECK_INT(ask("GET", paths[i], OPS, 1), 200);
		CHECK_INT(ask("GET", paths[i], OPS, RIG_MAX_BODY), 200);
		CHECK_INT(x.nasked, 1);
		CHECK_INT(ask("GET", paths[i], OPS, RIG_MAX_BODY + 1), 413);
		CHECK_INT(x.nasked, 0);
	}
	end();
}

/* --- rates --- */

static void
test_an_address_has_its_rate(void)
{
	begin(2);
	CHECK_INT(ask("GET", "/open", NULL, 0), 200);
	CHECK_INT(ask("GET", "/no/such", NULL, 0), 404);
	CHECK_INT(ask("GET", "/open", NULL, 0), 429);
	CHECK_STR(x.body, LIMITED);
	CHECK_STR(x.type, "application/json; charset=utf-8");
	CHECK_STR(x.retry_after, "1");
	CHECK_INT(ask("GET", "/no/such", NULL, 0), 429);
	CHECK_STR(x.retry_after, "1");
	CHECK_INT(ask("GET", "/%zz", NULL, 0), 429);
	CHECK_INT(ask("DELETE", THINGS, NULL, 0), 429);
	CHECK_INT(ask("GET", THINGS, NULL, 0), 429);
	/* Probes and good keys do not feel it. */
	for (int i = 0; i < 5; i++)
		CHECK_INT(ask("GET", "/health", NULL, 0), 200);
	CHECK_INT(ask("GET", THINGS, OPS, 0), 200);
	CHECK_INT(g.nstarted, 7);
	rig_fini(&g);
}

/* Whatever makes a request none: each costs as one that asks without a key. */
static void
test_what_is_no_request_has_its_rate(void)
{
	begin(3);
	CHECK_INT(ask("GET", "/open /x", NULL, 0), 400);
	CHECK(x.must_close);
	CHECK_INT(ask("GET", "/open", "key\001", 0), 400);
	CHECK_INT(ask("GET", "/open HTTP/9.9\r\nx", NULL, 0), 505);
	CHECK_INT(ask("GET", "/open /x", NULL, 0), 429);
	CHECK(x.must_close);
	CHECK_STR(x.body, LIMITED);
	CHECK_STR(x.retry_after, "1");
	CHECK_INT(ask("GET", "/open", "key\001", 0), 429);
	CHECK_INT(ask("GET", "/open", NULL, 0), 429);
	loop_sim_advance(g.f.api.loop, 1000);
	CHECK_INT(ask("GET", "/open /x", NULL, 0), 400);
	CHECK_INT(g.nstarted, 0);
	rig_fini(&g);
}

static void
test_a_principal_has_its_rate(void)
{
	begin(2);
	rig_expect_grants(&g, "reader|*|*", "thing.read|global|\\N");
	CHECK_INT(ask("GET", THINGS, OPS, 0), 200);
	CHECK_INT(ask("GET", "/api/v1/check", OPS, 0), 200);
	CHECK_INT(ask("GET", THINGS, OPS, 0), 429);
	CHECK_STR(x.body, LIMITED);
	CHECK_STR(x.retry_after, "1");
	/* Neither another one nor their address. */
	CHECK_INT(ask("GET", THINGS, READER, 0), 200);
	CHECK_INT(ask("GET", "/open", NULL, 0), 200);
	CHECK_INT(ask("GET", "/open", NULL, 0), 200);
	CHECK_INT(g.nstarted, 5);
	/* What is refused after the count has cost a request, too. */
	CHECK_INT(ask("POST", THINGS, READER, 0), 403);
	CHECK_INT(ask("GET", THINGS, READER, 0), 429);
	rig_fini(&g);
}

static void
test_a_rate_comes_back(void)
{
	begin(1);
	db_script_expect(g.f.db, Q_AUDIT_REFUSALS,
	    "*|*rate_limited*1*last_actor*ops*last_request*GET " THINGS "*");
	CHECK_INT(ask("GET", THINGS, OPS, 0), 200);
	CHECK_INT(ask("GET", THINGS, OPS, 0), 429);
	loop_sim_advance(g.f.api.loop, 1000);
	CHECK_INT(ask("GET", THINGS, OPS, 0), 200);
	end();
}

/* A stored key that was good is looked up again though its address has no
 * token left. */
static void
test_no_guesser_starves_a_good_key(void)
{
	const char *key = "stored-key-0123456789";

	begin(1);
	rig_expect_key(&g, key, "key", "alice", false);
	CHECK_INT(ask("GET", "/api/v1/check", key, 0), 200);
	loop_sim_advance(g.f.api.loop, 1000); /* believed for less */
	CHECK_INT(ask("GET", "/open", NULL, 0), 200);
	CHECK_INT(ask("GET", "/open", NULL, 0), 429);
	rig_expect_key(&g, key, "key", "alice", false);
	CHECK_INT(ask("GET", "/api/v1/check", key, 0), 200);
	CHECK_INT(g.nstarted, 3);
	end();
}

/* Who guesses keys is soon told to wait, and costs no statement then. */
static void
test_guesses_cost_the_address(void)
{
	char key[32];

	begin(2);
	for (int i = 0; i < 2; i++) {
		(void)snprintf(key, sizeof(key), "a-guess-0123456789-%d", i);
		rig_expect_no_key(&g, key);
		CHECK_INT(ask("GET", THINGS, key, 0), 401);
	}
	CHECK_INT(ask("GET", THINGS, "a-guess-0123456789-3", 0), 429);
	CHECK_INT(ask("GET", THINGS, "a-guess-0123456789-0", 0), 429);
	CHECK_INT(ask("PUT", THINGS "/x/y", WRONG, RIG_MAX_BODY + 1), 429);
	CHECK_INT(ask("GET", THINGS, FIXTURE_TOKEN, 0), 429);
	CHECK_INT(ask("GET", THINGS, OPS, 0), 200);
	CHECK_INT(g.nstarted, 1);
	end();
}

static void
test_refusals_are_counted(void)
{
	begin(0);
	rig_expect_grants(&g, "reader|*|*", "thing.read|global|\\N");
	CHECK_INT(ask("GET", THINGS, NULL, 0), 401);
	CHECK_INT(ask("GET", THINGS, NULL, 0), 401);
	CHECK_INT(ask("POST", THINGS, READER, 0), 403);
	CHECK(db_script_is_done(g.f.db));
	db_script_expect(g.f.db, Q_AUDIT_REFUSALS,
	    "*|*unauthenticated*2*forbidden*1*rate_limited*0*last_actor*reader*"
	    "last_request*POST " THINGS "*");
	loop_sim_advance(g.f.api.loop, 1000);
	end();
}

CHECK_MAIN(CHECK_ROW(test_an_event_tells_how_long_it_took),
    CHECK_ROW(test_unknown_paths_and_methods), CHECK_ROW(test_preflight),
    CHECK_ROW(test_order), CHECK_ROW(test_a_body_comes_before_the_handler),
    CHECK_ROW(test_a_body_that_does_not_come),
    CHECK_ROW(test_a_body_that_is_refused),
    CHECK_ROW(test_no_body_is_asked_for_where_there_is_none),
    CHECK_ROW(test_public_routes), CHECK_ROW(test_a_body_that_nobody_reads),
    CHECK_ROW(test_an_address_has_its_rate),
    CHECK_ROW(test_what_is_no_request_has_its_rate),
    CHECK_ROW(test_a_principal_has_its_rate), CHECK_ROW(test_a_rate_comes_back),
    CHECK_ROW(test_no_guesser_starves_a_good_key),
    CHECK_ROW(test_guesses_cost_the_address),
    CHECK_ROW(test_refusals_are_counted))
