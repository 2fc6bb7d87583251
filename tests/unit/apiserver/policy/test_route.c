#include "apiserver/policy/route.h"

#include "tests/unit/check.h"

static enum op_next
never(struct op *op)
{
	return op_done(op);
}

static const struct route rows[] = {
    {"GET", "/health", ROUTE_PUBLIC, NULL, never, 0},
    {"GET", "/api/v1/agents", ROUTE_PERMISSION, "agent.read", never, 0},
    {"POST", "/api/v1/agents", ROUTE_REGISTER, "agent.edit", never, 0},
    {"GET", "/api/v1/agents/{id}", ROUTE_PERMISSION, "agent.read", never, 0},
    {"DELETE", "/api/v1/agents/{id}", ROUTE_PERMISSION, "agent.retire", never,
	0},
    {"GET", "/api/v1/agents/retired", ROUTE_PERMISSION, "agent.read", never, 0},
};
static const struct route more_rows[] = {
    {"POST", "/api/v1/agents/{id}/jobs/{job_id}/status", ROUTE_AGENT,
	"agent.job.complete", never, 0},
};
static const struct route tail_rows[] = {
    {"GET", "/assets/{path:file...}", ROUTE_PUBLIC, NULL, never, 0},
    {"GET", "/assets/version", ROUTE_PUBLIC, NULL, never, 0},
    {"PUT", "/assets/{id}", ROUTE_PUBLIC, NULL, never, 0},
    {"GET", "/ocsp/{issuer}/{request:base64...}", ROUTE_PUBLIC, NULL, never, 0},
};
static const struct route_area tails = {"tails", tail_rows,
    ARRAY_LEN(tail_rows)};
static const struct route_area area = {"area", rows, ARRAY_LEN(rows)};
static const struct route_area more = {"more", more_rows, ARRAY_LEN(more_rows)};
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

	CHECK_INT(match("GET", "/health", &m), RC_OK);
	CHECK(m.route == &rows[0]);
	CHECK_INT(m.nparams, 0);
	CHECK_INT(match("GET", "/api/v1/agents/ag-1?x=1", &m), RC_OK);
	CHECK(m.route == &rows[3]);
	CHECK_INT(m.nparams, 1);
	CHECK_STR(m.params[0].name, "id");
	CHECK_STR(m.params[0].value, "ag-1");
	CHECK_INT(match("POST", "/api/v1/agents/a/jobs/b/status", &m), RC_OK);
	CHECK(m.route == &more_rows[0]);
	CHECK_STR(m.params[0].value, "a");
	CHECK_STR(m.params[1].name, "job_id");
	CHECK_STR(m.params[1].value, "b");
}

static void
test_literal_wins(void)
{
	struct route_match m = {0};

	CHECK_INT(match("GET", "/api/v1/agents/retired", &m), RC_OK);
	CHECK(m.route == &rows[5]);
	/* Only {id} can be deleted, and "retired" may be an id. */
	CHECK_INT(match("DELETE", "/api/v1/agents/retired", &m), RC_OK);
	CHECK(m.route == &rows[4]);
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
	CHECK_INT(match("GET", "/health/", &m), RC_NOT_FOUND);
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
	CHECK_INT(match("HEAD", "/health", &m), RC_METHOD);
	CHECK_STR(m.allow, "GET");
	CHECK_INT(match("PUT", "/api/v1/agents/retired", &m), RC_METHOD);
	CHECK_STR(m.allow, "GET, DELETE");
	CHECK_INT(match("get", "/health", &m), RC_METHOD);
}

static void
test_free(void)
{
	router_free(router);
	router_free(NULL);
}

static rc
new_with(const struct route *route, size_t n)
{
	const struct route_area one = {"one", route, n};
	const struct route_area *list[] = {&one};
	struct router *r = NULL;
	rc ret = router_new(list, 1, &r);

	router_free(r);
	return ret;
}

static void
test_refused_tables(void)
{
	const struct route twice[] = {
	    {"GET", "/a/{id}", ROUTE_PUBLIC, NULL, never, 0},
	    {"GET", "/a/{other}", ROUTE_PUBLIC, NULL, never, 0},
	};
	const struct route relative = {"GET", "a", ROUTE_PUBLIC, NULL, never,
	    0};
	const struct route no_start = {"GET", "/a", ROUTE_PUBLIC, NULL, NULL,
	    0};
	const struct route no_permission = {"GET", "/a", ROUTE_PERMISSION, NULL,
	    never, 0};
	const struct route params = {"GET", "/{a}/{b}/{c}/{d}/{e}",
	    ROUTE_PUBLIC, NULL, never, 0};

	const struct route no_kind = {"GET", "/a/{b:colour}", ROUTE_PUBLIC,
	    NULL, never, 0};
	const struct route no_name = {"GET", "/a/{:id}", ROUTE_PUBLIC, NULL,
	    never, 0};
	const struct route early_tail = {"GET", "/a/{b:file...}/c",
	    ROUTE_PUBLIC, NULL, never, 0};

	CHECK_INT(new_with(&no_kind, 1), RC_INVALID);
	CHECK_INT(new_with(&no_name, 1), RC_INVALID);
	CHECK_INT(new_with(&early_tail, 1), RC_INVALID);
	CHECK_INT(new_with(twice, 2), RC_CONFLICT);
	CHECK_INT(new_with(&relative, 1), RC_INVALID);
	CHECK_INT(new_with(&no_start, 1), RC_INVALID);
	CHECK_INT(new_with(&no_permission, 1), RC_INVALID);
	CHECK_INT(new_with(&params, 1), RC_INVALID);
}

CHECK_MAIN(CHECK_ROW(test_new), CHECK_ROW(test_found),
    CHECK_ROW(test_literal_wins), CHECK_ROW(test_tails),
    CHECK_ROW(test_not_found), CHECK_ROW(test_method), CHECK_ROW(test_free),
    CHECK_ROW(test_refused_tables))
