#include "apiserver/policy/route.h"

#include "tests/unit/check.h"

static enum op_next
never(struct op *op)
{
	return op_done(op);
}

static const struct route rows[] = {
    {"GET", "/api/v1/agents", "agent.read", never},
    {"POST", "/api/v1/agents", "agent.edit", never, "agent_registered",
	.own = {.access = ROUTE_REGISTER, .renderer = &render_register}},
    {"GET", "/api/v1/agents/{id}", "agent.read", never},
    {"DELETE", "/api/v1/agents/{id}", "agent.retire", never, "agent_retired"},
    {"GET", "/api/v1/agents/retired", "agent.read", never},
    {"GET", "/api/v1/version", NULL, never,
	.own = {.access = ROUTE_PUBLIC,
	    .body = ROUTE_NO_BODY,
	    .rate = ROUTE_UNRATED,
	    .preflight = ROUTE_NO_PREFLIGHT,
	    .head = ROUTE_HEAD,
	    .deadline_ms = 5}},
};
static const struct route more_rows[] = {
    {"POST", "/api/v1/agents/{id}/jobs/{job_id}/status", "agent.job.complete",
	never, "deployment_job_completed deployment_job_failed",
	.own = {.access = ROUTE_AGENT}},
};
static const struct route tail_rows[] = {
    {"GET", "/assets/{path:file...}", NULL, never},
    {"GET", "/assets/version", NULL, never},
    {"PUT", "/assets/{id}", NULL, never, ROUTE_NO_EVENT},
    {"GET", "/ocsp/{issuer}/{request:base64...}", NULL, never},
};

#define PUBLIC(area, below, list) \
	{ \
		.name = (area), .prefix = (below), \
		.rules = {.access = ROUTE_PUBLIC, \
		    .renderer = &render_api, \
		    .body = ROUTE_NO_BODY, \
		    .rate = ROUTE_RATED, \
		    .preflight = ROUTE_NO_PREFLIGHT, \
		    .head = ROUTE_NO_HEAD, \
		    .deadline_ms = 1000}, \
		.routes = (list), .n = ARRAY_LEN(list) \
	}

static const struct route_area tails = PUBLIC("tails", "/", tail_rows);
static const struct route_area area = ROUTE_API_AREA("area", rows);
static const struct route_area more = ROUTE_API_AREA("more", more_rows);
static const struct route_area *const areas[] = {&area, &more, &tails};

static struct router *router;

static rc
match(const char *method, const char *target, struct route_match *out)
{
	static char copy[512];
	static struct path p;

	(void)snprintf(copy, sizeof(copy), "%s", target);
	CHECK_INT(path_parse(copy, &p), RC_OK);
	return router_match(router, method, &p, out);
}

static void
test_new(void)
{
	CHECK_INT(router_new(areas, 3, &router), RC_OK);
}

static void
test_found(void)
{
	struct route_match m = {0};

	CHECK_INT(match("GET", "/api/v1/version", &m), RC_OK);
	CHECK(m.route == &rows[5]);
	CHECK_INT(m.nparams, 0);
	CHECK_INT(match("GET", "/api/v1/agents/ag-1?x=1", &m), RC_OK);
	CHECK(m.route == &rows[2]);
	CHECK_INT(m.nparams, 1);
	CHECK_STR(m.params[0].name, "id");
	CHECK_STR(m.params[0].value, "ag-1");
	CHECK_INT(match("POST", "/api/v1/agents/a/jobs/b/status", &m), RC_OK);
	CHECK(m.route == &more_rows[0]);
	CHECK_STR(m.params[0].value, "a");
	CHECK_STR(m.params[1].name, "job_id");
	CHECK_STR(m.params[1].value, "b");
}

/* Each has its own, and none is past their count. */
static void
test_numbers(void)
{
	struct route_match a = {0}, b = {0};

	CHECK_INT(match("GET", "/api/v1/version", &a), RC_OK);
	CHECK_INT(match("GET", "/api/v1/agents/ag-1", &b), RC_OK);
	CHECK(a.number != b.number);
	CHECK(a.number >= 1 && a.number <= router_size(router));
	CHECK(b.number >= 1 && b.number <= router_size(router));
}

static void
test_literal_wins(void)
{
	struct route_match m = {0};

	CHECK_INT(match("GET", "/api/v1/agents/retired", &m), RC_OK);
	CHECK(m.route == &rows[4]);
	/* Only {id} can be deleted, and "retired" may be an id. */
	CHECK_INT(match("DELETE", "/api/v1/agents/retired", &m), RC_OK);
	CHECK(m.route == &rows[3]);
}

static void
test_tails(void)
{
	struct route_match m = {0};

	CHECK_INT(match("GET", "/assets/js/app.js", &m), RC_OK);
	CHECK(m.route == &tail_rows[0]);
	CHECK_INT(m.nparams, 1);
	CHECK_STR(m.params[0].name, "path");
	CHECK_STR(m.params[0].value, "js/app.js");
	CHECK(m.params[0].is_valid(m.params[0].value));
	CHECK_INT(match("GET", "/assets/a/../../etc/passwd", &m), RC_OK);
	CHECK(!m.params[0].is_valid(m.params[0].value));
	CHECK_INT(match("GET", "/assets/version", &m), RC_OK);
	CHECK(m.route == &tail_rows[1]);
	CHECK_INT(match("GET", "/assets", &m), RC_NOT_FOUND);
	CHECK_INT(match("GET", "/assets/", &m), RC_NOT_FOUND);
	CHECK_INT(match("POST", "/assets/x", &m), RC_METHOD);
	CHECK_STR(m.allow, "PUT, GET");
	/* Whether the slashes of base64 are escaped or not. */
	CHECK_INT(match("GET", "/ocsp/iss-1/MEI//QDA%2BMDw%2Fx+wMA%3D%3d", &m),
	    RC_OK);
	CHECK(m.route == &tail_rows[3]);
	CHECK_STR(m.params[0].value, "iss-1");
	CHECK_STR(m.params[1].value, "MEI//QDA+MDw/x+wMA==");
	CHECK(m.params[1].is_valid(m.params[1].value));
	CHECK_INT(match("GET", "/ocsp/i/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s",
		      &m),
	    RC_OK);
	CHECK_STR(m.params[1].value, "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s");
}

static void
test_not_found(void)
{
	struct route_match m = {0};

	CHECK_INT(match("GET", "/", &m), RC_NOT_FOUND);
	CHECK_INT(match("GET", "/api/v1/version/", &m), RC_NOT_FOUND);
	CHECK_INT(match("GET", "/api/v1/agents/", &m), RC_NOT_FOUND);
	CHECK_INT(match("GET", "/api/v1/agents//", &m), RC_NOT_FOUND);
	CHECK_INT(match("GET", "/API/v1/agents", &m), RC_NOT_FOUND);
	/* An escaped slash does not make segments. */
	CHECK_INT(match("GET", "/api/v1%2Fagents", &m), RC_NOT_FOUND);
}

static void
test_method(void)
{
	struct route_match m = {0};

	CHECK_INT(match("PUT", "/api/v1/agents", &m), RC_METHOD);
	CHECK_STR(m.allow, "GET, POST");
	CHECK_INT(match("HEAD", "/ocsp/iss-1/MEow", &m), RC_METHOD);
	CHECK_STR(m.allow, "GET");
	CHECK_INT(match("PUT", "/api/v1/agents/retired", &m), RC_METHOD);
	CHECK_STR(m.allow, "GET, DELETE");
	CHECK_INT(match("get", "/api/v1/version", &m), RC_METHOD);
}

static void
test_free(void)
{
	router_free(router);
	router_free(NULL);
}

static void
test_a_row_overrides_its_area(void)
{
	struct route_match m = {0};

	CHECK_INT(match("GET", "/api/v1/agents", &m), RC_OK);
	CHECK(!rules_are_equal(m.rules, &area.rules));
	CHECK_INT(m.rules->body, ROUTE_NO_BODY); /* of a GET */
	CHECK_INT(match("DELETE", "/api/v1/agents/x", &m), RC_OK);
	CHECK(rules_are_equal(m.rules, &area.rules));
	CHECK_INT(match("POST", "/api/v1/agents", &m), RC_OK);
	CHECK_INT(m.rules->access, ROUTE_REGISTER);
	CHECK(m.rules->renderer == &render_register);
	CHECK_INT(m.rules->body, ROUTE_BODY);
	CHECK_INT(m.rules->rate, ROUTE_RATED);
	CHECK_INT(m.rules->preflight, ROUTE_PREFLIGHT);
	CHECK_INT(m.rules->deadline_ms, 30000);
	CHECK_INT(match("GET", "/api/v1/version", &m), RC_OK);
	CHECK_INT(m.rules->access, ROUTE_PUBLIC);
	CHECK(m.rules->renderer == &render_api);
	CHECK_INT(m.rules->body, ROUTE_NO_BODY);
	CHECK_INT(m.rules->rate, ROUTE_UNRATED);
	CHECK_INT(m.rules->preflight, ROUTE_NO_PREFLIGHT);
	CHECK_INT(m.rules->deadline_ms, 5);
	CHECK_INT(m.rules->body, ROUTE_NO_BODY);
	CHECK_INT(rules_max_body(m.rules, 77), 77);
	CHECK_INT(rules_max_body(m.rules, 77777), RULES_SMALL_BODY);
	CHECK_INT(rules_max_body(&area.rules, 77), 77);
}

/* HEAD is its GET where the row says so, and shown as allowed there only. */
static void
test_head(void)
{
	struct route_match m = {0};

	CHECK_INT(match("HEAD", "/api/v1/version", &m), RC_OK);
	CHECK_STR(m.route->method, "GET");
	CHECK_INT(match("PUT", "/api/v1/version", &m), RC_METHOD);
	CHECK_STR(m.allow, "GET, HEAD");
	CHECK_INT(match("HEAD", "/api/v1/agents", &m), RC_METHOD);
	CHECK_STR(m.allow, "GET, POST");
	CHECK_INT(match("HEAD", "/api/v1/agents/x/jobs/y/status", &m),
	    RC_METHOD);
}

/* Where no route is, the path's row rules, else the area of its prefix. */
static void
test_rules_without_a_route(void)
{
	struct route_match m = {0};

	CHECK_INT(match("OPTIONS", "/api/v1/version", &m), RC_METHOD);
	CHECK_INT(m.rules->preflight, ROUTE_NO_PREFLIGHT);
	CHECK_INT(match("OPTIONS", "/api/v1/agents", &m), RC_METHOD);
	CHECK_INT(m.rules->preflight, ROUTE_PREFLIGHT);
	CHECK_INT(match("OPTIONS", "/api/v1/no/such", &m), RC_NOT_FOUND);
	CHECK(m.rules == &area.rules);
	CHECK_INT(match("OPTIONS", "/api/v1/", &m), RC_NOT_FOUND);
	CHECK(m.rules == &area.rules);
	CHECK_INT(match("OPTIONS", "/api/v1", &m), RC_NOT_FOUND);
	CHECK(m.rules == &tails.rules);
	CHECK_INT(match("OPTIONS", "/api/v10/x", &m), RC_NOT_FOUND);
	CHECK(m.rules == &tails.rules);
	/* An escaped slash is no prefix either. */
	CHECK_INT(match("OPTIONS", "/api%2Fv1/x", &m), RC_NOT_FOUND);
	CHECK(m.rules == &tails.rules);
}

static rc
new_with(const struct route *route, size_t n)
{
	const struct route_area one = {
	    .name = "one",
	    .prefix = "/a/",
	    .rules = tails.rules,
	    .routes = route,
	    .n = n,
	};
	const struct route_area *list[] = {&one};
	struct router *r = NULL;
	rc ret = router_new(list, 1, &r);

	router_free(r);
	return ret;
}

static rc
new_with_areas(const struct route_area *a, const struct route_area *b)
{
	const struct route_area *list[] = {a, b};
	struct router *r = NULL;
	rc ret = router_new(list, 2, &r);

	router_free(r);
	return ret;
}

static void
test_refused_rows(void)
{
	static const struct route good = {"GET", "/a/{id}", NULL, never};
	static const struct route bad[] = {
	    {"GET", "a/b", NULL, never},
	    {"GET", "/b/c", NULL, never},
	    {"GET", "/a/b", NULL, NULL},
	    {"GET", "/a/{a}/{b}/{c}/{d}/{e}", NULL, never},
	    {"GET", "/a/{b:colour}", NULL, never},
	    {"GET", "/a/{:id}", NULL, never},
	    {"GET", "/a/{b:file...}/c", NULL, never},
	    /* What they need and what they say. */
	    {"GET", "/a/b", NULL, never, .own = {.access = ROUTE_PERMISSION}},
	    {"GET", "/a/b", NULL, never, .own = {.access = ROUTE_REGISTER}},
	    {"GET", "/a/{id}", NULL, never, .own = {.access = ROUTE_AGENT}},
	    {"GET", "/a/b", "x.read", never},
	    {"GET", "/a/b", "x.read", never,
		.own = {.access = ROUTE_SIGNED_IN}},
	    {"GET", "/a/{b}", "x.read", never, .own = {.access = ROUTE_AGENT}},
	    {"GET", "/a/{b}", NULL, never, .scope = ROUTE_ISSUER},
	    {"POST", "/a/b", NULL, never},
	    {"DELETE", "/a/{id}", NULL, never},
	};
	static const struct route twice[] = {
	    {"GET", "/a/{id}", NULL, never},
	    {"GET", "/a/{other}", NULL, never},
	};

	CHECK_INT(new_with(&good, 1), RC_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(new_with(&bad[i], 1), RC_INVALID);
	CHECK_INT(new_with(twice, 2), RC_CONFLICT);
}

static void
test_refused_areas(void)
{
	struct route_area a = tails, b = area;

	CHECK_INT(new_with_areas(&area, &tails), RC_OK);
	b.rules.preflight = 0;
	CHECK_INT(new_with_areas(&tails, &b), RC_INVALID);
	b.rules = area.rules;
	b.rules.renderer = NULL;
	CHECK_INT(new_with_areas(&tails, &b), RC_INVALID);
	b.rules = area.rules;
	a.prefix = "/assets";
	CHECK_INT(new_with_areas(&a, &b), RC_INVALID);
	/* One prefix, two answers to an unknown path. */
	a = more;
	a.rules.deadline_ms = 1;
	CHECK_INT(new_with_areas(&a, &b), RC_CONFLICT);
	a.rules = more.rules;
	CHECK_INT(new_with_areas(&a, &b), RC_OK);
}

CHECK_MAIN(CHECK_ROW(test_new), CHECK_ROW(test_head), CHECK_ROW(test_found),
    CHECK_ROW(test_numbers), CHECK_ROW(test_literal_wins),
    CHECK_ROW(test_tails), CHECK_ROW(test_not_found), CHECK_ROW(test_method),
    CHECK_ROW(test_a_row_overrides_its_area),
    CHECK_ROW(test_rules_without_a_route), CHECK_ROW(test_free),
    CHECK_ROW(test_refused_rows), CHECK_ROW(test_refused_areas))
