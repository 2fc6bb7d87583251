/*
 * test_bulk: for many nothing is changed before it was counted and agreed to,
 * and what failed is no success.
 */
#include "cli/cli.h"
#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"
#include "tests/unit/cli/scripted.h"

#define REVOKE "POST /api/v1/certificates/bulk-revoke"
#define COUNTS(done, failed) \
	"{\"total_matched\":3,\"total_revoked\":" done \
	",\"total_enqueued\":" done ",\"total_reassigned\":" done \
	",\"total_skipped\":1,\"total_failed\":" failed "}"

static void
a_dry_run_counts_alone(void)
{
	scripted_begin();
	scripted_answer(REVOKE "?dry_run=true", 200, COUNTS("2", "0"));
	CHECK_INT(scripted_run("certs bulk-revoke a b --dry-run --reason "
			       "KEYCOMPROMISE"),
	    EXIT_DONE);
	CHECK_STR(captured_out(),
	    "3 matched, 2 to be revoked, 1 skipped, 0 failed\n");
	CHECK_STR(scripted_body(),
	    "{\"reason\":\"keyCompromise\",\"certificate_ids\":[\"a\",\"b\"]}");
	CHECK_INT(scripted_count("POST"), 1);
	CHECK_INT(scripted_run("certs bulk-revoke a --dry-run --yes"),
	    EXIT_DONE);
	CHECK_INT(scripted_count("POST"), 2);
	CHECK_STR(scripted_asked(1), REVOKE "?dry_run=true");
	CHECK_INT(scripted_run_json("certs bulk-revoke a --dry-run"),
	    EXIT_DONE);
	CHECK_STR(captured_out(), COUNTS("2", "0") "\n");
}

/* Standard input is no terminal here. */
static void
without_a_yes_nothing_is_changed(void)
{
	CHECK(freopen("/dev/null", "r", stdin));
	scripted_begin();
	scripted_answer(REVOKE "?dry_run=true", 200, COUNTS("2", "0"));
	CHECK_INT(scripted_run("certs bulk-revoke a"), EXIT_USAGE);
	CHECK(strstr(captured_err(), "nothing was changed; add --yes"));
	CHECK_INT(scripted_count("POST"), 1);
}

static void
what_failed_is_no_success(void)
{
	scripted_begin();
	scripted_answer(REVOKE, 200, COUNTS("1", "1"));
	CHECK_INT(scripted_run("certs bulk-revoke a --yes"), EXIT_FAILED);
	CHECK_STR(captured_out(),
	    "3 matched, 1 revoked, 1 skipped, 1 failed\n");
	CHECK_INT(scripted_run_json("certs bulk-revoke a --yes"), EXIT_FAILED);
	CHECK_STR(captured_out(), COUNTS("1", "1") "\n");
	/* Each is counted first, which says whether an id is a name. */
	CHECK_INT(scripted_count(REVOKE), 4);
	CHECK_STR(scripted_asked(0), REVOKE "?dry_run=true");
	CHECK_STR(scripted_asked(1), REVOKE);
}

static void
ids_that_nobody_knows_are_told_and_no_success(void)
{
	scripted_begin();
	scripted_answer(REVOKE, 200,
	    "{\"total_matched\":1,\"total_revoked\":1,\"total_skipped\":0,"
	    "\"total_failed\":0,\"unknown_ids\":[\"b\",\"c\"]}");
	scripted_answer("GET /api/v1/certificates?q=", 200, "{\"data\":[]}");
	CHECK_INT(scripted_run("certs bulk-revoke a b c --yes"), EXIT_FAILED);
	CHECK_STR(captured_out(),
	    "1 matched, 1 revoked, 0 skipped, 0 failed\n");
	CHECK(strstr(captured_err(), "no such certificate: [\"b\""));
	CHECK_INT(scripted_run_json("certs bulk-revoke a b c --yes"),
	    EXIT_FAILED);
	CHECK_STR(captured_err(), "");
}

/* Only what nobody has as an id may be a name. */
static void
a_name_stands_for_its_certificate(void)
{
	scripted_begin();
	scripted_answer_times(REVOKE "?dry_run=true", 200,
	    "{\"total_matched\":1,\"total_revoked\":1,\"total_skipped\":0,"
	    "\"total_failed\":0,\"unknown_ids\":[\"web\"]}",
	    1);
	scripted_answer("GET /api/v1/certificates?q=web", 200,
	    "{\"data\":[{\"id\":\"mc-web\",\"name\":\"web\"},"
	    "{\"id\":\"mc-web2\",\"name\":\"web2\"}]}");
	scripted_answer(REVOKE, 200, COUNTS("2", "0"));
	CHECK_INT(scripted_run("certs bulk-revoke a web --yes"), EXIT_DONE);
	CHECK_STR(scripted_body(), "{\"reason\":\"unspecified\","
				   "\"certificate_ids\":[\"a\",\"mc-web\"]}");
	CHECK_INT(scripted_count("GET"), 1);
	scripted_begin();
	scripted_answer_times("POST /api/v1/certificates/bulk-reassign?", 200,
	    "{\"total_matched\":1,\"total_reassigned\":0,\"total_skipped\":0,"
	    "\"total_failed\":1,\"errors\":[{\"certificate_id\":\"web\","
	    "\"error\":\"no such certificate\"}]}",
	    1);
	scripted_answer("GET /api/v1/certificates?q=web", 200,
	    "{\"data\":[{\"id\":\"mc-web\",\"name\":\"web\"}]}");
	scripted_answer("GET /api/v1/owners/o", 200, "{}");
	scripted_answer("POST /api/v1/certificates/bulk-reassign", 200,
	    "{\"total_matched\":1,\"total_reassigned\":1,\"total_skipped\":0,"
	    "\"total_failed\":0}");
	CHECK_INT(scripted_run("certs bulk-reassign web --owner-id o --yes"),
	    EXIT_DONE);
	CHECK_STR(scripted_body(),
	    "{\"owner_id\":\"o\",\"certificate_ids\":[\"mc-web\"]}");
}

static void
an_answer_without_counts_is_no_success(void)
{
	static const char *const odd[] = {"", "{}", "[]", "<html>",
	    "{\"total_enqueued\":5}"};

	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		scripted_begin();
		scripted_answer(REVOKE, 200, odd[i]);
		CHECK_INT(scripted_run("certs bulk-revoke a --yes"),
		    EXIT_FAILED);
		CHECK_STR(captured_out(), "");
		CHECK_INT(scripted_run("certs bulk-revoke a --dry-run"),
		    EXIT_FAILED);
	}
}

static void
a_count_that_is_refused_ends_it(void)
{
	scripted_begin();
	scripted_answer(REVOKE "?dry_run=true", 403, "{\"message\":\"no\"}");
	CHECK_INT(scripted_run("certs bulk-revoke a"), EXIT_NOT_ALLOWED);
	CHECK_INT(scripted_count("POST"), 1);
}

static void
every_option_stands_in_the_body(void)
{
	scripted_begin();
	scripted_answer("POST /api/v1/certificates/bulk-renew", 200,
	    COUNTS("1", "0"));
	scripted_answer("POST /api/v1/certificates/bulk-reassign", 200,
	    COUNTS("1", "0"));
	scripted_answer("GET /api/v1/", 200, "{}"); /* all are ids */
	CHECK_INT(scripted_run("certs bulk-renew --agent-id a --issuer-id i "
			       "--owner-id o --profile-id p --team-id t --yes"),
	    EXIT_DONE);
	CHECK_STR(scripted_body(),
	    "{\"agent_id\":\"a\",\"issuer_id\":\"i\",\"owner_id\":\"o\","
	    "\"profile_id\":\"p\",\"team_id\":\"t\"}");
	CHECK_INT(scripted_run("certs bulk-reassign x --owner-id o --team-id t "
			       "--yes"),
	    EXIT_DONE);
	CHECK_STR(scripted_body(), "{\"owner_id\":\"o\",\"team_id\":\"t\","
				   "\"certificate_ids\":[\"x\"]}");
	CHECK_INT(scripted_run("certs bulk-reassign --owner-id o --yes"),
	    EXIT_USAGE);
	CHECK_INT(scripted_run("certs bulk-revoke c1 --dryrun --yes"),
	    EXIT_USAGE);
	CHECK_INT(scripted_count("POST"), 3);
}

static void
one_is_revoked_with_its_reason(void)
{
	scripted_begin();
	scripted_answer("POST /api/v1/certificates/c/revoke", 200,
	    "{\"status\":\"revoked\"}");
	CHECK_INT(scripted_run("certs revoke c --reason superseded"),
	    EXIT_USAGE);
	CHECK(strstr(captured_err(), "add --yes"));
	CHECK_INT(scripted_count("POST"), 0);
	CHECK_INT(scripted_run("certs revoke c --reason superseded --yes"),
	    EXIT_DONE);
	CHECK_STR(captured_out(), "revoked\n");
	CHECK_STR(scripted_body(), "{\"reason\":\"superseded\"}");
	CHECK_INT(scripted_run("certs revoke c --yes"), EXIT_DONE);
	CHECK_STR(scripted_body(), "{}");
}

CHECK_MAIN(CHECK_ROW(a_dry_run_counts_alone),
    CHECK_ROW(without_a_yes_nothing_is_changed),
    CHECK_ROW(what_failed_is_no_success),
    CHECK_ROW(ids_that_nobody_knows_are_told_and_no_success),
    CHECK_ROW(a_name_stands_for_its_certificate),
    CHECK_ROW(an_answer_without_counts_is_no_success),
    CHECK_ROW(a_count_that_is_refused_ends_it),
    CHECK_ROW(every_option_stands_in_the_body),
    CHECK_ROW(one_is_revoked_with_its_reason))
