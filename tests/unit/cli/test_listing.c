/*
 * test_listing: what lists are filtered and sorted by, at the server and here.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"
#include "tests/unit/cli/scripted.h"

static void
a_filter_is_the_option_of_its_name(void)
{
	scripted_begin();
	scripted_answer_times("GET /api/v1/certificates", 200,
	    "{\"data\":[{\"id\":\"a\"}],\"total\":1}", 3);
	CHECK_INT(scripted_run("certs list --filter status=active --filter "
			       "owner-id=o-1 --filter q=web"),
	    EXIT_DONE);
	CHECK_STR(scripted_asked(0),
	    "GET /api/v1/certificates?status=Active&q=web&owner_id=o-1");
	CHECK_INT(scripted_run("certs list --filter query=a --page 2"),
	    EXIT_DONE);
	CHECK_STR(scripted_asked(1), "GET /api/v1/certificates?q=a&page=2");
}

static void
what_a_list_does_not_have_is_refused(void)
{
	static const struct {
		const char *line, *says;
	} wrong[] = {
	    {"certs list --filter stauts=Active",
		"no \"stauts\" to filter by; did you mean \"status\"?"},
	    {"certs list --filter stauts=Active", "it has: status, query,"},
	    {"certs list --filter stauts=Active",
		"with --all or --limit also: id, common_name, "},
	    {"certs list --filter status=Odd",
		"--status does not take \"Odd\""},
	    {"certs list --filter status=", "needs a value behind the ="},
	    {"certs list --filter status", "takes KEY=VALUE"},
	    {"certs list --filter =x", "no \"\" to filter by"},
	    {"certs list --filter status=Active --status Active",
		"is given twice"},
	    {"certs list --filter status=Active --filter status=Failed",
		"is given twice"},
	    {"certs list --filter reason=x", "looked at here, in all rows"},
	    {"certs list --filter reason=x --page 1", "looked at here"},
	    {"certs list --filter id=x --all --limit 3", "give one of these"},
	    {"certs list --sort nmae", "did you mean \"name\"?"},
	    {"certs list --sort name:up", "FIELD:asc or FIELD:desc"},
	    {"certs list --sort reason", "add --all"},
	    {"certs list --sort reason --limit 5",
		"in the place of --limit give --all"},
	    {"roles list --sort age", "no \"age\" to sort by"},
	    {"roles list --filter age=1", "it has: id, name, description"},
	    {"certs get x --filter id=x", "is no option here"},
	    {"certs renew x --sort id", "is no option here"},
	};

	scripted_begin();
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		CHECK_INT(scripted_run(wrong[i].line), EXIT_USAGE);
		CHECK(strstr(captured_err(), wrong[i].says) != NULL);
		CHECK_STR(captured_out(), "");
	}
	CHECK(scripted_asked(0) == NULL);
}

static void
what_the_server_sorts_is_asked_of_it(void)
{
	scripted_begin();
	scripted_answer_times("GET /api/v1/certificates", 200,
	    "{\"data\":[{\"id\":\"b\"},{\"id\":\"a\"}]}", 9);
	CHECK_INT(scripted_run("certs list --sort expiresAt:desc"), EXIT_DONE);
	CHECK_STR(scripted_asked(0),
	    "GET /api/v1/certificates?sort=-expiresAt");
	CHECK_INT(scripted_run("certs list --status Active --sort "
			       "common_name:asc --per-page 2"),
	    EXIT_DONE);
	CHECK_STR(scripted_asked(1),
	    "GET /api/v1/certificates?status=Active&per_page=2&sort="
	    "commonName");
	/* a walk with a cursor has no order but its own */
	CHECK_INT(scripted_run("certs list --sort name --limit 2"), EXIT_DONE);
	CHECK_STR(scripted_asked(2),
	    "GET /api/v1/certificates?sort=name&per_page=2&page=1");
	CHECK_INT(scripted_run("certs list --sort name --limit 3"), EXIT_DONE);
	CHECK(scripted_asked(4) == NULL); /* a short page is the last */
}

/* A limit beyond a page: pages of one size, and of the last so much. */
static void
sorted_pages_follow_each_other(void)
{
	static char page[500 * 16 + 64];
	size_t n = (size_t)snprintf(page, sizeof(page), "{\"data\":[");

	for (int i = 0; i < 500; i++)
		n += (size_t)snprintf(page + n, sizeof(page) - n,
		    "%s{\"id\":\"%d\"}", i ? "," : "", i);
	(void)snprintf(page + n, sizeof(page) - n, "],\"total\":1000}");
	scripted_begin();
	scripted_answer_times("GET /api/v1/certificates", 200, page, 3);
	scripted_answer("GET /api/v1/certificates", 200, "{\"data\":[]}");
	CHECK_INT(scripted_run_json("certs list --sort name --limit 700"),
	    EXIT_DONE);
	CHECK_STR(scripted_asked(0),
	    "GET /api/v1/certificates?sort=name&per_page=500&page=1");
	CHECK_STR(scripted_asked(1),
	    "GET /api/v1/certificates?sort=name&per_page=500&page=2");
	CHECK(scripted_asked(2) == NULL);
	CHECK(strstr(captured_out(), "\"total\":1000") != NULL);
	CHECK_INT(scripted_run_json("certs list --sort name --limit 600"),
	    EXIT_DONE);
	CHECK(strstr(captured_out(), "\"total\":500") != NULL);
}

#define ROWS \
	"{\"data\":[{\"id\":\"a\",\"expires_at\":\"2026-01-01T00:00:00.5Z\"," \
	"\"reason\":\"x\"},{\"id\":\"b\",\"expires_at\":" \
	"\"0001-01-01T00:00:00Z\"},{\"id\":\"c\",\"expires_at\":" \
	"\"2026-01-01T00:00:00Z\",\"reason\":\"x\"}]"

/* The ids of what was printed as JSON, one letter each. */
static const char *
ids(const char *member)
{
	static char out[64];
	const char *p = captured_out();
	size_t n = 0;

	while ((p = strstr(p, member)) != NULL && n + 1 < sizeof(out)) {
		p += strlen(member);
		out[n++] = *p;
	}
	out[n] = '\0';
	return out;
}

static const char *
listed(const char *line)
{
	CHECK_INT(scripted_run_json(line), EXIT_DONE);
	return ids("\"id\":\"");
}

static void
rows_of_all_pages_are_looked_at_here(void)
{
	scripted_begin();
	scripted_answer("GET /api/v1/certificates?per_page=500&cursor=begin",
	    200, ROWS ",\"next_cursor\":\"n\"}");
	scripted_answer("GET /api/v1/certificates?per_page=500&cursor=n", 200,
	    "{\"data\":[{\"id\":\"d\",\"reason\":\"y\"}]}");
	CHECK_STR(listed("certs list --all --filter reason=x"), "ac");
	CHECK_STR(listed("certs list --all --filter reason="), "b");
	CHECK_STR(listed("certs list --all --filter reason=x --filter id=c"),
	    "c");
	CHECK_STR(listed("certs list --all --sort expires_at"), "cabd");
	CHECK_STR(listed("certs list --all --sort expiresAt:desc"), "bdac");
	CHECK_STR(listed("certs list --all --sort id:desc --filter reason=x"),
	    "ca");
	CHECK_STR(listed("certs list --limit 2 --filter reason=x"), "ac");
	CHECK_STR(listed("certs list --limit 2 --filter reason=y"), "d");
	CHECK(strstr(captured_out(), "\"total\":1}") != NULL);
}

static void
lists_in_one_answer_are_filtered_and_sorted(void)
{
	scripted_begin();
	scripted_answer("GET /api/v1/auth/keys", 200,
	    "{\"keys\":[{\"actor_id\":\"b\",\"role_ids\":[\"r-1\",\"r-2\"]},"
	    "{\"actor_id\":\"a\",\"role_ids\":[\"r-2\"]},"
	    "{\"actor_id\":\"c\",\"role_ids\":[]}],\"total\":3}");
	CHECK_INT(scripted_run_json("api-keys list --filter role_ids=r-2 "
				    "--sort actor_id"),
	    EXIT_DONE);
	CHECK_STR(captured_out(),
	    "{\"keys\":[{\"actor_id\":\"a\",\"role_ids\":[\"r-2\"]},"
	    "{\"actor_id\":\"b\",\"role_ids\":[\"r-1\",\"r-2\"]}],"
	    "\"total\":2}\n");
	CHECK_INT(scripted_run_json("api-keys list --filter role-ids="),
	    EXIT_DONE);
	CHECK_STR(ids("\"actor_id\":\""), "c");
	scripted_answer("GET /api/v1/admin/scheduler", 200,
	    "{\"data\":[{\"name\":\"x\",\"failures\":10},{\"name\":\"y\","
	    "\"failures\":9},{\"name\":\"z\",\"failures\":10}]}");
	CHECK_INT(scripted_run_json("scheduler --sort failures:desc"),
	    EXIT_DONE);
	CHECK_STR(ids("\"name\":\""), "xzy");
	CHECK_INT(scripted_run_json("scheduler --filter failures=9"),
	    EXIT_DONE);
	CHECK_STR(ids("\"name\":\""), "y");
	scripted_begin();
	scripted_answer("GET /api/v1/admin/scheduler", 200,
	    "{\"data\":[{\"name\":\"d\",\"rows\":1},{\"name\":\"c\","
	    "\"failures\":\"10\"},{\"name\":\"b\",\"failures\":9},"
	    "{\"name\":\"a\",\"failures\":2}]}");
	CHECK_INT(scripted_run_json("scheduler --sort failures"), EXIT_DONE);
	CHECK_STR(ids("\"name\":\""), "abcd");
}

/* An answer that says that there is more is not all. */
static void
what_is_not_all_is_not_sorted_here(void)
{
	scripted_begin();
	scripted_answer("GET /api/v1/auth/roles", 200,
	    "{\"roles\":[{\"id\":\"b\"}],\"next_cursor\":\"n\"}");
	CHECK_INT(scripted_run("roles list"), EXIT_DONE);
	CHECK_INT(scripted_run("roles list --sort id"), EXIT_FAILED);
	CHECK(strstr(captured_err(), "longer than an answer") != NULL);
}

CHECK_MAIN(CHECK_ROW(a_filter_is_the_option_of_its_name),
    CHECK_ROW(what_a_list_does_not_have_is_refused),
    CHECK_ROW(what_the_server_sorts_is_asked_of_it),
    CHECK_ROW(sorted_pages_follow_each_other),
    CHECK_ROW(rows_of_all_pages_are_looked_at_here),
    CHECK_ROW(lists_in_one_answer_are_filtered_and_sorted),
    CHECK_ROW(what_is_not_all_is_not_sorted_here))
