/*
 * test_watch: --watch and --wait look again when an event says so, and
 * without events by themselves.
 */
#include <string.h>

#include "cli/cli.h"
#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"
#include "tests/unit/cli/scripted.h"

#define JOB "GET /api/v1/jobs/j"
#define EVENTS "GET /api/v1/events?kind=job&job_id=j"
#define IS(status) "{\"id\":\"j\",\"status\":\"" status "\"}"

static size_t
count(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)) != NULL; text++)
		n++;
	return n;
}

/* It listens before the look that it compares, and prints what differs. */
static void
what_changed_is_printed_again(void)
{
	scripted_begin();
	scripted_answer_times(JOB, 200, IS("Pending"), 2);
	scripted_answer_times(JOB, 200, IS("Running"), 1);
	scripted_answer(JOB, 404, "{\"message\":\"gone\"}");
	scripted_answer_times(EVENTS, 200, "retry: 2000\nid: 1-a\n\n", 1);
	scripted_answer_times(EVENTS, 200, "id: 2-a\ndata: {}\n\n", 1);
	CHECK_INT(scripted_run_json("jobs get j --watch --timeout 60"),
	    EXIT_NOT_FOUND);
	CHECK_STR(scripted_asked(0), JOB);
	CHECK_STR(scripted_asked(1), EVENTS);
	CHECK_STR(scripted_asked(2), JOB);
	CHECK_STR(scripted_asked(3), EVENTS);
	CHECK_INT(count(captured_out(), "Pending"), 1);
	CHECK_INT(count(captured_out(), "Running"), 1);
	CHECK(strstr(captured_err(), "gone"));
}

/* A key may not have them, or the server is older; it ends with the time that
 * was given. */
static void
without_events_it_looks_by_itself(void)
{
	scripted_begin();
	scripted_answer_times(JOB, 200, IS("Pending"), 1);
	scripted_answer_times(JOB, 503, "{}", 1);
	scripted_answer(JOB, 200, IS("Running"));
	scripted_answer(EVENTS, 403, "{\"message\":\"no\"}");
	CHECK_INT(scripted_run("jobs get j --watch --timeout 1"), EXIT_DONE);
	CHECK_INT(scripted_count(EVENTS), 1);
	CHECK_INT(count(captured_out(), "Pending"), 1);
	CHECK_INT(count(captured_out(), "\n\n"), 1); /* between the two */
	CHECK_INT(count(captured_out(), "Running"), 1);
}

static void
what_is_refused_at_first_is_not_watched(void)
{
	scripted_begin();
	scripted_answer(JOB, 403, "{\"message\":\"no\"}");
	CHECK_INT(scripted_run("jobs get j --watch"), EXIT_NOT_ALLOWED);
}

static void
what_does_not_go_together_is_refused(void)
{
	scripted_begin();
	CHECK_INT(scripted_run("jobs get j --watch --wait 1s"), EXIT_USAGE);
	CHECK_INT(scripted_run("certs list --timeout 1"), EXIT_USAGE);
	CHECK(strstr(captured_err(), "--timeout goes with --watch"));
	CHECK_INT(scripted_run("owners list --watch"), EXIT_USAGE);
	CHECK(!scripted_asked(0));
}

/* A list is of its kind, and of what does not change. */
static void
a_list_listens_to_its_kind(void)
{
	scripted_begin();
	scripted_answer_times("GET /api/v1/jobs?", 200, "{\"data\":[]}", 2);
	scripted_answer("GET /api/v1/jobs?", 403, "{\"message\":\"no\"}");
	scripted_answer_times("GET /api/v1/events", 200, "id: 1-a\n\n", 2);
	/* An empty list may be by a name. */
	scripted_answer("GET /api/v1/certificates?", 200, "{\"data\":[]}");
	CHECK_INT(scripted_run("jobs list --certificate-id c --status running "
			       "--watch"),
	    EXIT_NOT_ALLOWED);
	CHECK_INT(scripted_count("GET /api/v1/events?kind=job&"
				 "certificate_id=c"),
	    2);
}

CHECK_MAIN(CHECK_ROW(what_changed_is_printed_again),
    CHECK_ROW(without_events_it_looks_by_itself),
    CHECK_ROW(what_is_refused_at_first_is_not_watched),
    CHECK_ROW(what_does_not_go_together_is_refused),
    CHECK_ROW(a_list_listens_to_its_kind))
