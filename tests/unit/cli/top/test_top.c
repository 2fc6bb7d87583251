/*
 * test_top: samples of Prometheus as facts, and facts as a screen of 80 by 24
 * and of 160 by 50, without a terminal or a server.
 */
#include "cli/cli.h"
#include "cli/top/facts.h"
#include "cli/top/frame.h"
#include "cli/top/samples.h"
#include "cli/top/typed.h"
#include "common/base/buf.h"
#include "common/json/json.h"
#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"
#include "tests/unit/cli/scripted.h"

static const char metrics[] =
    "# HELP certctl_lane_cap x\n# TYPE certctl_lane_cap gauge\n"
    "certctl_lane_cap{issuer=\"iss-a\"} 8\n"
    "certctl_lane_breaker_open{issuer=\"iss-a\"} 0\n"
    "certctl_lane_failures{issuer=\"iss-a\"} 0\n"
    "certctl_lane_queue_jobs{issuer=\"iss-a\",type=\"Issuance\"} 2\n"
    "certctl_lane_queue_jobs{issuer=\"iss-a\",type=\"Renewal\"} 40\n"
    "certctl_lane_queue_age_seconds{issuer=\"iss-a\",type=\"Renewal\"} 7.25\n"
    "certctl_lane_cap{issuer=\"iss-b\\\"\\u202e\"} 4\n"
    "certctl_lane_breaker_open{issuer=\"iss-b\\\"\\u202e\"} 1\n"
    "certctl_lane_failures{issuer=\"iss-b\\\"\\u202e\"} 12\n"
    "certctl_lane_rate_per_second{issuer=\"iss-b\\\"\\u202e\"} 0.5\n"
    "certctl_lane_queue_age_seconds{issuer=\"iss-b\\\"\\u202e\"} 900\n"
    "certctl_issuance_duration_seconds_sum{issuer_type=\"ACME\"} 100\n"
    "certctl_issuance_duration_seconds_count{issuer_type=\"ACME\"} 10\n"
    "certctl_issuance_duration_seconds_sum{issuer_type=\"GenericCA\"} 5\n"
    "certctl_issuance_duration_seconds_count{issuer_type=\"GenericCA\"} 50\n"
    "certctl_jobs_waiting{status=\"Pending\",type=\"issuance\"} 42\n"
    "certctl_jobs_waiting{status=\"Pending\",type=\"deployment\"} 3\n"
    "certctl_jobs_waiting{status=\"AwaitingCSR\",type=\"issuance\"} 2\n"
    "certctl_jobs_waiting{status=\"AwaitingApproval\",type=\"issuance\"} 1\n"
    "certctl_processes_alive{process=\"apiserver\"} 2\n"
    "certctl_processes_alive{process=\"scheduler\"} 1\n"
    "certctl_processes_alive{process=\"worker\"} 2\n"
    "certctl_agent_total 100\ncertctl_agent_online 99\n"
    "certctl_certificate_total 1000\n"
    "certctl_certificate_expiring_soon 30\ncertctl_certificate_expired 1\n"
    "certctl_job_completed_total 5000\ncertctl_job_failed_total 4\n";

static const char processes[] =
    "{\"workers\":[{\"name\":\"w-1\",\"host\":\"h1\",\"slots\":8,\"alive\":"
    "true,\"fault\":\"\"},{\"name\":\"w-2\",\"host\":\"h2\",\"slots\":8,"
    "\"alive\":true,\"fault\":\"journal_full\"}],\"leader\":{\"name\":\"s-1\"}"
    "}";
static const char conditions[] =
    "{\"data\":[{\"severity\":\"warning\",\"name\":\"lane_open\",\"subject\":"
    "\"iss-b\",\"count\":1}]}";

static const char silent[] =
    "{\"data\":[{\"name\":\"web-7\",\"hostname\":\"web-7.test\",\"last_"
    "heartbeat_at\":\"2026-01-02T03:04:05Z\"}],\"total\":1}";

static const char want80[] =
#include "tests/unit/cli/top/screen80.txt"
    ;
static const char want160[] =
#include "tests/unit/cli/top/screen160.txt"
    ;

static struct arena *arena;

static struct facts *
make_facts(const char *text, int64_t at_ms)
{
	const struct cJSON *p, *c, *g;
	struct facts *f = facts_new();
	const char *why;

	if (json_parse(f->arena, processes, strlen(processes), &p, &why) !=
		RC_OK ||
	    json_parse(f->arena, conditions, strlen(conditions), &c, &why) !=
		RC_OK)
		return f;
	if (json_parse(f->arena, silent, strlen(silent), &g, &why) != RC_OK)
		return f;
	f->at_ms = at_ms;
	f->wall_us = 1000000LL * 86399;
	facts_take(f, text, p, c, g, NULL);
	return f;
}

/* The frame's lines, of each with its width checked. */
static const char *
text_of(const struct facts *before, const struct facts *now,
    struct frame_view v)
{
	CLEANUP(buf_fini) struct buf b;
	struct frame f;

	arena_free(arena);
	arena = arena_new();
	frame_make(arena, before, now, &v, &f);
	CHECK(f.n <= v.height);
	buf_init(&b, 0);
	for (size_t i = 0; i < f.n; i++) {
		CHECK(strlen(f.lines[i]) <= v.width);
		buf_printf(&b, "%s\n", f.lines[i]);
	}
	return arena_strdup(arena, buf_cstr(&b));
}

static const struct frame_view screen80 = {.width = 80,
    .height = 24,
    .server = "https://certctl.example.test:8443",
    .filter = "",
    .has_keys = true};

static void
a_screen_of_80_by_24(void)
{
	struct facts *before = make_facts(
	    "certctl_job_completed_total 4980\ncertctl_job_failed_total 4\n"
	    "certctl_issuance_duration_seconds_sum{issuer_type=\"ACME\"} 80\n"
	    "certctl_issuance_duration_seconds_count{issuer_type=\"ACME\"} 9\n",
	    1000);
	struct facts *now = make_facts(metrics, 3000);

	CHECK_STR(text_of(before, now, screen80), want80);
	facts_free(before);
	facts_free(now);
}

static void
a_screen_of_160_by_50(void)
{
	struct frame_view v = screen80;
	struct facts *now = make_facts(metrics, 3000);

	v.width = 160;
	v.height = 50;
	v.sort = FRAME_BY_AGE;
	v.is_paused = true;
	CHECK_STR(text_of(NULL, now, v), want160);
	facts_free(now);
}

static void
many_rows_are_counted_and_sorted(void)
{
	struct facts *f = facts_new();
	CLEANUP(buf_fini) struct buf b;
	struct frame_view v = screen80;
	const char *text;

	buf_init(&b, 0);
	for (int i = 0; i < 1200; i++)
		buf_printf(&b, "certctl_lane_queue_jobs{issuer=\"l%04d\"} %d\n",
		    i, i);
	facts_take(f, buf_cstr(&b), NULL, NULL, NULL, NULL);
	CHECK_INT(f->nlanes, FACTS_ROWS);
	text = text_of(NULL, f, v);
	CHECK(strstr(text, "l0999"));
	CHECK(strstr(text, "  and 984 more\n"));
	CHECK(!strstr(text, "l0001"));
	v.sort = FRAME_BY_NAME;
	CHECK(strstr(text_of(NULL, f, v), "l0001"));
	v.filter = "L099";
	text = text_of(NULL, f, v);
	CHECK(strstr(text, "l0990") && !strstr(text, "l0100"));
	CHECK(strstr(text, "/ filter: L099"));
	facts_free(f);
}

static void
an_agent_that_never_reported_is_not_online(void)
{
	static const char online[] =
	    "{\"data\":[{\"name\":\"new\",\"hostname\":\"h\","
	    "\"registered_at\":\"2026-01-01T00:00:00Z\","
	    "\"last_heartbeat_at\":\"2026-01-01T00:00:00Z\"}]}";
	struct facts *f = facts_new();
	const struct cJSON *agents = NULL;
	const char *why, *text;

	CHECK_INT(json_parse(f->arena, online, strlen(online), &agents, &why),
	    RC_OK);
	facts_take(f, "certctl_agent_total 1\ncertctl_agent_online 1\n", NULL,
	    NULL, NULL, agents);
	text = text_of(NULL, f, screen80);
	CHECK(strstr(text, "0 of 1 online"));
	CHECK(strstr(text, "not yet: start certctl-agent there"));
	facts_free(f);
}

static void
a_server_that_is_away_is_told_of(void)
{
	struct frame_view v = screen80;
	struct facts *now = make_facts(metrics, 1);
	const char *text;

	v.fault = "https://x: Couldn't connect\x1b[2J";
	text = text_of(NULL, NULL, v);
	CHECK(strstr(text, "NOT REACHED"));
	CHECK(strstr(text, "connect\\x1b[2J"));
	/* What was known stays. */
	text = text_of(NULL, now, v);
	CHECK(strstr(text, "NOT REACHED") && strstr(text, "iss-a"));
	v.width = 40;
	v.height = 8;
	v.is_typing = true;
	text = text_of(NULL, now, v);
	CHECK(strstr(text, "filter: _"));
	facts_free(now);
}

static void
take(void *arg, const struct sample *s)
{
	size_t *n = arg;

	(void)samples_label(s, "a");
	++*n;
}

static void
what_is_no_sample_is_passed_over(void)
{
	size_t n = 0;

	samples_read(arena,
	    "a{b=\"c\"} 1\n\n#\na\na{ 1\na{b} 1\na{b=\"c} 1\na{b=\"c\"}1\n"
	    "a{b=\"c\",} NaN 5\na x\n{} 1\na{b=\"\\\\\\\"\"} 2",
	    take, &n);
	CHECK_INT(n, 3);
}

static void
without_a_terminal_it_is_refused(void)
{
	scripted_begin();
	CHECK_INT(scripted_run("top"), EXIT_USAGE);
	CHECK(strstr(captured_err(), "certctl top --once"));
	CHECK_INT(scripted_run_json("top --once"), EXIT_USAGE);
	CHECK(!scripted_asked(0));
	scripted_answer("GET /api/v1/metrics/prometheus", 403, "{}");
	CHECK_INT(scripted_run("top --once"), EXIT_NOT_ALLOWED);
	CHECK(strstr(captured_err(), "metrics.read"));
	scripted_begin();
	scripted_answer("GET /api/v1/metrics/prometheus", 500,
	    "{\"message\":\"no\\u001b\"}");
	CHECK_INT(scripted_run("top --once"), EXIT_UNREACHABLE);
	CHECK(strstr(captured_err(), "answers 500: no\\x1b"));
}

static void
take_all(struct typed *t, const char *bytes)
{
	for (; *bytes; bytes++)
		typed_take(t, (unsigned char)*bytes);
}

/* Whole characters, of any script; nothing that could not be seen. */
static void
a_filter_is_typed_in_any_script(void)
{
	struct typed t = {.text = ""};

	take_all(&t, "a\xe6\x97");
	CHECK_STR(t.text, "a");
	take_all(&t, "\xa5\xc3\xb6\xf0\x9f\x94\x91");
	CHECK_STR(t.text, "a\xe6\x97\xa5\xc3\xb6\xf0\x9f\x94\x91");
	typed_back(&t);
	typed_back(&t);
	CHECK_STR(t.text, "a\xe6\x97\xa5");
	/* cut off, out of place, of no form, unseen */
	take_all(&t, "\xe6z\xbf\xff\xc0\xaf\xe2\x80\xae\xc2\x9b\x01 ");
	CHECK_STR(t.text, "a\xe6\x97\xa5z");
	for (size_t i = 0; i < TYPED_MAX; i++)
		take_all(&t, "\xc3\xb6");
	CHECK(strlen(t.text) <= TYPED_MAX && strlen(t.text) >= TYPED_MAX - 1);
	typed_clear(&t);
	typed_back(&t);
	CHECK_STR(t.text, "");
}

CHECK_MAIN(CHECK_ROW(a_screen_of_80_by_24), CHECK_ROW(a_screen_of_160_by_50),
    CHECK_ROW(a_filter_is_typed_in_any_script),
    CHECK_ROW(many_rows_are_counted_and_sorted),
    CHECK_ROW(an_agent_that_never_reported_is_not_online),
    CHECK_ROW(a_server_that_is_away_is_told_of),
    CHECK_ROW(what_is_no_sample_is_passed_over),
    CHECK_ROW(without_a_terminal_it_is_refused))
