/*
 * test_watch: --watch and --wait look again when an event says so, and
 * without events by themselves.
 */
#include <string.h>

#include "cli/cli.h"
#include "common/base/clock.h"
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
	CHECK_INT(count(captured_err(), "how it is now is not known: {}"), 1);
	CHECK_INT(count(captured_err(), "it answers again"), 1);
}

/* What stands on the screen must not be taken for how it is. */
static void
a_server_that_is_gone_is_told_of_once(void)
{
	scripted_begin();
	scripted_answer_times(JOB, 200, IS("Pending"), 1);
	scripted_answer_times(JOB, 0, "", 2);
	scripted_answer(JOB, 403, "{\"message\":\"no\"}");
	scripted_answer_times(EVENTS, 200, "id: 1-a\n\n", 3);
	CHECK_INT(scripted_run("jobs get j --watch"), EXIT_NOT_ALLOWED);
	CHECK_INT(count(captured_err(), "not known: nobody answers; looking"),
	    1);
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

/* Of a burst of events one walk through all pages is taken a second. */
static void
a_walk_is_not_taken_for_each_event(void)
{
	int64_t began = clock_boot_ms();

	scripted_begin();
	scripted_answer_times("GET /api/v1/jobs?", 200, "{\"data\":[]}", 2);
	scripted_answer("GET /api/v1/jobs?", 403, "{\"message\":\"no\"}");
	scripted_answer_times("GET /api/v1/events", 200, "id: 1-a\n\n", 9);
	CHECK_INT(scripted_run("jobs list --all --watch"), EXIT_NOT_ALLOWED);
	CHECK_INT(scripted_count("GET /api/v1/jobs?"), 3);
	CHECK(clock_boot_ms() - began >= 1000);
}

#define REPLACEMENT "GET /api/v1/replacements/r"
#define PROGRESS "GET /api/v1/events?kind=replacement&replacement_id=r"
#define DUTIES "GET /api/v1/admin/scheduler"
#define RUN "POST /api/v1/admin/scheduler/run-now/crl_refresh"
#define ASKED "GET /api/v1/events?kind=duty&duty=crl_refresh"
#define DUTY(members) "{\"data\":[{\"name\":\"crl_refresh\"," members "}]}"

#define EXPLAIN "GET /api/v1/explain/certificate/c"
#define OF_C \
	"GET /api/v1/events?kind=certificate,job,deployment&certificate_id=c"
#define WHY(at, ready) "{\"at\":\"" at "\",\"ready\":" ready "}"

/* It listens before its first look, and looks when something came. */
static void
a_replacement_is_followed_by_its_events(void)
{
	scripted_begin();
	scripted_answer_times(REPLACEMENT, 200,
	    "{\"id\":\"r\",\"state\":\"running\"}", 1);
	scripted_answer(REPLACEMENT, 200,
	    "{\"id\":\"r\",\"state\":\"completed\"}");
	scripted_answer_times(PROGRESS, 200, "id: 1-a\n\n", 1);
	scripted_answer_times(PROGRESS, 200, "id: 2-a\ndata: {}\n\n", 1);
	CHECK_INT(scripted_run("replace watch r --timeout 60"), EXIT_DONE);
	CHECK_STR(scripted_asked(0), PROGRESS);
	CHECK_STR(scripted_asked(1), REPLACEMENT);
	CHECK_STR(scripted_asked(2), PROGRESS);
	CHECK_INT(scripted_count(REPLACEMENT), 2);
}

static void
a_run_is_followed_by_its_events(void)
{
	scripted_begin();
	scripted_answer(RUN, 202, "{\"duty\":\"crl_refresh\"}");
	scripted_answer_times(DUTIES, 200, DUTY("\"state\":\"running\""), 1);
	scripted_answer(DUTIES, 200,
	    DUTY("\"state\":\"waiting\",\"last_outcome\":\"ok\""));
	scripted_answer_times(ASKED, 200, "id: 1-a\n\n", 1);
	scripted_answer_times(ASKED, 200, "id: 2-a\ndata: {}\n\n", 1);
	CHECK_INT(scripted_run("scheduler run crl_refresh --wait"), EXIT_DONE);
	CHECK_STR(scripted_asked(1), ASKED);
	CHECK_STR(scripted_asked(3), ASKED);
	CHECK_INT(scripted_count(DUTIES), 2);
}

/* When it was asked is no change. */
static void
an_explanation_is_printed_again_when_it_is_another(void)
{
	scripted_begin();
	scripted_answer_times(EXPLAIN, 200, WHY("1", "false"), 1);
	scripted_answer_times(EXPLAIN, 200, WHY("2", "false"), 1);
	scripted_answer_times(EXPLAIN, 200, WHY("3", "true"), 1);
	scripted_answer(EXPLAIN, 404, "{\"message\":\"gone\"}");
	scripted_answer_times(OF_C, 200, "id: 1-a\n\n", 3);
	CHECK_INT(scripted_run_json("explain certificate c --watch"),
	    EXIT_NOT_FOUND);
	CHECK_INT(scripted_count(OF_C), 3);
	CHECK_INT(count(captured_out(), "\"ready\""), 2);
	CHECK(strstr(captured_out(), "true"));
}

#define PROCESSES "GET /api/v1/admin/processes"
#define CONDITIONS "GET /api/v1/admin/conditions"
#define SEEN(at) "{\"apiservers\":[{\"name\":\"a\",\"seen_at\":\"" at "\"}]}"

/* That a process was seen again is no change; a condition is. */
static void
a_status_is_printed_again_when_it_is_another(void)
{
	scripted_begin();
	scripted_answer("GET /ready", 200, "{}");
	scripted_answer_times(PROCESSES, 200, SEEN("1"), 1);
	scripted_answer_times(PROCESSES, 200, SEEN("2"), 1);
	scripted_answer_times(PROCESSES, 200, SEEN("3"), 1);
	scripted_answer(PROCESSES, 403, "{\"message\":\"no\"}");
	scripted_answer_times(CONDITIONS, 200, "{\"data\":[],\"healthy\":true}",
	    2);
	scripted_answer(CONDITIONS, 200, "{\"data\":[],\"healthy\":false}");
	scripted_answer_times("GET /api/v1/events?kind=condition", 200,
	    "id: 1-a\n\n", 1);
	CHECK_INT(scripted_run_json("status --watch"), EXIT_NOT_ALLOWED);
	CHECK_INT(count(captured_out(), "\"healthy\":true"), 1);
	CHECK_INT(count(captured_out(), "\"healthy\":false"), 1);
}

CHECK_MAIN(CHECK_ROW(what_changed_is_printed_again),
    CHECK_ROW(without_events_it_looks_by_itself),
    CHECK_ROW(a_server_that_is_gone_is_told_of_once),
    CHECK_ROW(what_is_refused_at_first_is_not_watched),
    CHECK_ROW(what_does_not_go_together_is_refused),
    CHECK_ROW(a_list_listens_to_its_kind),
    CHECK_ROW(a_walk_is_not_taken_for_each_event),
    CHECK_ROW(a_replacement_is_followed_by_its_events),
    CHECK_ROW(a_run_is_followed_by_its_events),
    CHECK_ROW(an_explanation_is_printed_again_when_it_is_another),
    CHECK_ROW(a_status_is_printed_again_when_it_is_another))
