#include "scheduler/duty.h"

#include <stdio.h>
#include <stdlib.h>

#include "scheduler/duties/duties.h"
#include "tests/support/db_script.h"
#include "tests/unit/check.h"

#define HOUR ((int64_t)3600 * 1000)

struct rig {
	struct loop *loop;
	struct db_pool *pool;
	struct leader *leader;
	struct duties *duties;
	const char *rows; /* of the duties table */
	bool is_term_over;
	bool is_away; /* the database, for what a duty asks of it */
	int registered;
	char offs[256];  /* reasons, as they were registered */
	char next[24];   /* planned, at the last begin */
	char skips[24];  /* of the last end */
	char error[256]; /* of the last end */
	int chunks;      /* of the job retention, left */
	int64_t run_ms;  /* how long a run takes */
	int begun, ended, lost;
	int64_t began_ms[512]; /* of the duty "one" */
	char outcome[32];      /* of the last end */
	char events[4096];
	int64_t chunks_left;
	int64_t chunk_enqueued;
	int64_t chunk_ms;
	int64_t left;
	int64_t rows_ended;
	int budgets; /* that were ended */
};

static struct rig *rig;

static op_step slow_done;

static enum op_next
slow_start(struct op *op)
{
	return op_sleep(op, rig->run_ms, slow_done);
}

static enum op_next
slow_done(struct op *op)
{
	return op_done(op);
}

static const struct duty_def one[] = {
    {"one", "one_interval", 60000, slow_start},
};
static const struct duty_def four[] = {
    {"one", "one_interval", 60000, slow_start},
    {"two", "one_interval", 60000, slow_start},
    {"three", "one_interval", 60000, slow_start},
    {"four", "one_interval", 60000, slow_start},
};
static const struct duty_def scan[] = {
    {"renewal_scan", "one_interval", 0, duty_renewal_scan},
};

static const struct duty_def retention[] = {
    {"job_retention", "one_interval", 20000, duty_statement,
	Q_DUTY_JOB_RETENTION, 500, DUTY_GENTLY, false, {"job_retention"},
	"job_retention", "CERTCTL_JOB_RETENTION is 0"},
};

static int64_t interval_of_one;
static int64_t retention_of_jobs = 720000;

static int64_t
setting(void *arg, const char *key)
{
	return strcmp(key, "job_retention") == 0 ? retention_of_jobs
						 : interval_of_one;
}

static void
publish(void *arg, const char *body, size_t len)
{
	size_t at = strlen(rig->events);

	snprintf(rig->events + at, sizeof(rig->events) - at, "%.*s\n", (int)len,
	    body);
}

static void
full_look(void *arg)
{
}

static size_t
running(void *arg)
{
	return 3;
}

static void
rule_hold(void *arg, struct db_pool *p, const struct db_stmt *s)
{
	db_script_rows(p, "left_ms|term|is_new|is_behind", "500|4|f|f");
}

static void
rule_rows(void *arg, struct db_pool *p, const struct db_stmt *s)
{
	db_script_rows(p, "name|age_ms|next_ms|is_requested|is_urgent",
	    rig->rows);
}

static void
rule_register(void *arg, struct db_pool *p, const struct db_stmt *s)
{
	CHECK_STR(s->params[0], "inc");
	CHECK_STR(s->params[1], "4");
	rig->registered++;
	snprintf(rig->offs, sizeof(rig->offs), "%s", s->params[5]);
	db_script_rows(p, "duties_register", "");
}

static void
rule_retention(void *arg, struct db_pool *p, const struct db_stmt *s)
{
	CHECK_STR(s->params[2], "500");
	CHECK_STR(s->params[3], "720000");
	if (rig->is_away) {
		db_script_error(p, "08006", "the server is gone", NULL);
		return;
	}
	rig->chunks--;
	db_script_rows(p, "rows|is_more", rig->chunks > 0 ? "400|t" : "7|f");
}

static void
rule_begin(void *arg, struct db_pool *p, const struct db_stmt *s)
{
	CHECK_STR(s->params[0], "inc");
	CHECK_STR(s->params[1], "4");
	if (strcmp(s->params[2], "one") == 0 && rig->begun < 512)
		rig->began_ms[rig->begun] = loop_now_ms(rig->loop);
	rig->begun++;
	snprintf(rig->next, sizeof(rig->next), "%s", s->params[3]);
	db_script_rows(p, "name", rig->is_term_over ? "" : s->params[2]);
}

static void
rule_end(void *arg, struct db_pool *p, const struct db_stmt *s)
{
	rig->ended++;
	snprintf(rig->outcome, sizeof(rig->outcome), "%s", s->params[3]);
	rig->rows_ended = strtoll(s->params[4], NULL, 10);
	snprintf(rig->skips, sizeof(rig->skips), "%s", s->params[7]);
	snprintf(rig->error, sizeof(rig->error), "%s", s->params[8]);
}

static void
rule_budget(void *arg, struct db_pool *p, const struct db_stmt *s)
{
	rig->budgets++;
	db_script_rows(p, "rows", "3");
}

static void
rule_scan(void *arg, struct db_pool *p, const struct db_stmt *s)
{
	const char *n = rig->chunks_left > 0 ? s->params[2] : "1";
	char row[64];

	snprintf(row, sizeof(row), "%s|%lld|[\"agent-1\"]|%s", n,
	    rig->chunks_left > 0 ? (long long)rig->chunk_enqueued : 1, n);
	rig->chunks_left--;
	db_script_rows(p, "due|enqueued|agents|seen", row);
	db_script_after(p, rig->chunk_ms);
}

static void
rule_left(void *arg, struct db_pool *p, const struct db_stmt *s)
{
	rig->left++;
	db_script_rows(p, "rows", "77");
}

static void
on_lead(void *arg, uint64_t term)
{
	duties_start(rig->duties, term);
}

static void
on_lost(void *arg)
{
	rig->lost++;
	duties_stop(rig->duties);
}

static void
rig_start(struct rig *r, const struct duty_def *table, size_t n,
    int64_t interval, const char *rows)
{
	struct leader_opts lead = {
	    .incarnation = "inc",
	    .nonce = "nonce",
	    .on_lead = on_lead,
	    .on_lost = on_lost,
	};
	struct duty_opts opts = {
	    .incarnation = "inc",
	    .table = table,
	    .n = n,
	    .setting = setting,
	    .publish = publish,
	    .full_look = full_look,
	    .running = running,
	};

	*r = (struct rig){.loop = loop_new_sim(1000), .rows = rows};
	rig = r;
	interval_of_one = interval;
	r->pool = db_script_new(r->loop);
	db_script_on(r->pool, Q_LEADER_HOLD, rule_hold, NULL);
	db_script_on(r->pool, Q_DUTY_ROWS, rule_rows, NULL);
	db_script_on(r->pool, Q_DUTIES_REGISTER, rule_register, NULL);
	db_script_on(r->pool, Q_DUTY_JOB_RETENTION, rule_retention, NULL);
	db_script_on(r->pool, Q_DUTY_BEGIN, rule_begin, NULL);
	db_script_on(r->pool, Q_DUTY_END, rule_end, NULL);
	db_script_on(r->pool, Q_DUTY_RENEWAL_BUDGET, rule_budget, NULL);
	db_script_on(r->pool, Q_DUTY_RENEWAL_SCAN, rule_scan, NULL);
	db_script_on(r->pool, Q_DUTY_RENEWALS_LEFT, rule_left, NULL);
	lead.loop = opts.loop = r->loop;
	lead.pool = opts.pool = r->pool;
	r->leader = opts.leader = leader_new(&lead);
	r->duties = duties_new(&opts);
	leader_start(r->leader);
}

static void
rig_end(struct rig *r)
{
	duties_free(r->duties);
	loop_sim_advance(r->loop, 0); /* ops are freed a turn later */
	leader_free(r->leader);
	db_pool_free(r->pool);
	loop_free(r->loop);
}

static void
a_duty_that_never_ran_is_due_at_once(void)
{
	struct rig r;

	rig_start(&r, one, 1, HOUR, "");
	loop_sim_advance(r.loop, 100);
	CHECK_INT(r.begun, 1);
	CHECK_INT(r.ended, 1);
	CHECK_STR(r.outcome, "ok");
	loop_sim_advance(r.loop, HOUR * 9 / 10 - 200);
	CHECK_INT(r.begun, 1);
	loop_sim_advance(r.loop, HOUR * 2 / 10 + 400);
	CHECK_INT(r.begun, 2);
	rig_end(&r);
}

static void
a_new_leader_goes_on_where_the_last_was(void)
{
	struct rig r;

	/* It ran fifty minutes ago: due in four to sixteen. */
	rig_start(&r, one, 1, HOUR, "one|3000000|\\N|f|f\nother|1|5|t|f");
	loop_sim_advance(r.loop, 239000);
	CHECK_INT(r.begun, 0);
	loop_sim_advance(r.loop, 722000);
	CHECK_INT(r.begun, 1);
	rig_end(&r);
}

/* What the last leader planned holds, however long ago the last run was. */
static void
a_planned_run_keeps_its_time(void)
{
	struct rig r;

	rig_start(&r, one, 1, HOUR, "one|3590000|60000|f|f");
	loop_sim_advance(r.loop, 59000);
	CHECK_INT(r.begun, 0);
	CHECK_INT(r.registered, 1);
	loop_sim_advance(r.loop, 2000);
	CHECK_INT(r.begun, 1);
	CHECK_INT(r.registered, 1);
	/* The next is an hour away, give or take a tenth. */
	CHECK(strtoll(r.next, NULL, 10) >= HOUR * 9 / 10);
	CHECK(strtoll(r.next, NULL, 10) <= HOUR * 11 / 10);
	rig_end(&r);
}

static void
one_that_is_off_says_why_and_never_runs(void)
{
	struct rig r;

	retention_of_jobs = 0;
	rig_start(&r, retention, 1, 1000, "job_retention|-1|\\N|t|f");
	retention_of_jobs = 720000;
	loop_sim_advance(r.loop, HOUR);
	CHECK_INT(r.begun, 0);
	CHECK(strstr(r.offs, "CERTCTL_JOB_RETENTION is 0"));
	rig_end(&r);
}

static void
an_interval_of_0_switches_it_off(void)
{
	struct rig r;

	rig_start(&r, retention, 1, 0, "job_retention|-1|\\N|t|f");
	loop_sim_advance(r.loop, HOUR);
	CHECK_INT(r.begun, 0);
	CHECK(strstr(r.offs, "its interval is 0, which switches it off"));
	rig_end(&r);
}

/* With a pause between two chunks, and only as long as its bound. */
static void
what_can_wait_leaves_room_for_others(void)
{
	struct rig r;

	rig_start(&r, retention, 1, HOUR, "");
	r.chunks = 11;
	loop_sim_advance(r.loop, 400);
	CHECK_INT(r.ended, 0);
	CHECK(r.chunks > 0);
	loop_sim_advance(r.loop, 400);
	CHECK_INT(r.ended, 1);
	CHECK_INT(r.rows_ended, 10 * 400 + 7);
	CHECK_STR(r.offs, "{\"\"}");
	rig_end(&r);
	rig_start(&r, retention, 1, HOUR, "");
	r.chunks = 1000000;
	loop_sim_advance(r.loop, 21000);
	CHECK_INT(r.ended, 1);
	CHECK_STR(r.outcome, "ok");
	CHECK(1000000 - r.chunks > 300 && 1000000 - r.chunks <= 401);
	rig_end(&r);
}

/* Not an hour later; and what goes on failing is left more and more alone. */
static void
one_that_failed_runs_again_soon(void)
{
	struct rig r;
	int begun;

	rig_start(&r, retention, 1, HOUR, "");
	r.is_away = true;
	loop_sim_advance(r.loop, 4400);
	CHECK_INT(r.begun, 1);
	CHECK_STR(r.outcome, "unavailable");
	loop_sim_advance(r.loop, 1200);
	CHECK_INT(r.begun, 2);
	loop_sim_advance(r.loop, HOUR);
	begun = r.begun;
	CHECK(begun > 8 && begun < 14);
	loop_sim_advance(r.loop, 10 * HOUR);
	CHECK(r.begun - begun >= 9 && r.begun - begun <= 12);
	r.is_away = false;
	r.chunks = 1;
	loop_sim_advance(r.loop, 2 * HOUR);
	CHECK_STR(r.outcome, "ok");
	begun = r.begun;
	loop_sim_advance(r.loop, 10 * HOUR);
	CHECK(r.begun - begun >= 9 && r.begun - begun <= 12);
	rig_end(&r);
}

static void
an_overdue_one_runs_once(void)
{
	struct rig r;

	rig_start(&r, one, 1, HOUR, "one|99999999|0|f|f");
	loop_sim_advance(r.loop, 60000);
	CHECK_INT(r.begun, 1);
	rig_end(&r);
}

static void
every_tick_is_moved_a_little(void)
{
	struct rig r;
	int64_t least = INT64_MAX, most = 0, sum = 0;

	rig_start(&r, one, 1, 1000, "");
	while (r.begun < 301)
		loop_sim_advance(r.loop, 1000);
	for (int i = 1; i <= 300; i++) {
		int64_t gap = r.began_ms[i] - r.began_ms[i - 1];

		least = gap < least ? gap : least;
		most = gap > most ? gap : most;
		sum += gap;
	}
	CHECK(least >= 895 && least < 930);
	CHECK(most <= 1105 && most > 1070);
	CHECK(sum / 300 > 970 && sum / 300 < 1030);
	rig_end(&r);
}

static void
never_twice_at_the_same_time(void)
{
	struct rig r;

	rig_start(&r, one, 1, 1000, "");
	r.run_ms = 3500;
	loop_sim_advance(r.loop, 3400);
	CHECK_INT(r.begun, 1);
	CHECK_INT(duties_running(r.duties), 1);
	loop_sim_advance(r.loop, 1500);
	CHECK_INT(r.ended, 1);
	CHECK_STR(r.skips, "3");
	CHECK_INT(r.begun, 2); /* missed ticks are not made up */
	rig_end(&r);
}

static void
a_few_at_a_time(void)
{
	struct rig r;

	rig_start(&r, four, 4, HOUR, "");
	r.run_ms = 1000;
	loop_sim_advance(r.loop, 900);
	CHECK_INT(r.begun, DUTY_RUNNING_MAX);
	loop_sim_advance(r.loop, 3000);
	CHECK_INT(r.begun, 4);
	CHECK_INT(r.ended, 4);
	rig_end(&r);
}

static void
a_run_is_bounded(void)
{
	struct rig r;

	rig_start(&r, one, 1, HOUR, "");
	r.run_ms = HOUR * 2;
	loop_sim_advance(r.loop, 69000);
	CHECK_INT(r.ended, 0);
	loop_sim_advance(r.loop, 2000);
	CHECK_INT(r.ended, 1);
	CHECK_STR(r.outcome, "timeout");
	CHECK(r.error[0]);
	CHECK_INT(duties_running(r.duties), 0);
	rig_end(&r);
}

static void
somebody_asked_for_it(void)
{
	struct rig r;

	rig_start(&r, one, 1, HOUR, "one|10|3000000|f|f");
	loop_sim_advance(r.loop, 5000);
	CHECK_INT(r.begun, 0);
	r.rows = "one|10|3000000|t|f";
	loop_sim_advance(r.loop, 1100);
	CHECK_INT(r.begun, 1);
	rig_end(&r);
}

static void
leadership_ends_runs(void)
{
	struct rig r;

	rig_start(&r, one, 1, HOUR, "");
	r.run_ms = 1000;
	loop_sim_advance(r.loop, 500);
	CHECK_INT(duties_running(r.duties), 1);
	duties_stop(r.duties);
	CHECK_INT(duties_running(r.duties), 0);
	loop_sim_advance(r.loop, HOUR);
	CHECK_INT(r.begun, 1);
	CHECK_INT(r.ended, 0); /* the row keeps saying running */
	rig_end(&r);
}

static void
the_term_is_over(void)
{
	struct rig r;

	rig_start(&r, one, 1, HOUR, "");
	r.is_term_over = true;
	loop_sim_advance(r.loop, 100);
	CHECK_INT(r.lost, 1);
	CHECK_INT(r.ended, 0);
	rig_end(&r);
}

static void
a_scan_goes_on_until_a_short_chunk(void)
{
	struct rig r;

	rig_start(&r, scan, 1, HOUR, "");
	r.chunks_left = 5;
	r.chunk_enqueued = 999;
	loop_sim_advance(r.loop, 100);
	CHECK_INT(r.ended, 1);
	CHECK_INT(r.rows_ended, 5 * 999 + 1);
	CHECK_INT(r.left, 1);
	CHECK(strstr(r.events, "{\"agents\":[\"agent-1\"]}"));
	rig_end(&r);
}

static void
a_scan_stops_at_its_budget(void)
{
	struct rig r;

	rig_start(&r, scan, 1, 60000, "");
	r.chunks_left = 1000000;
	r.chunk_enqueued = 1000;
	r.chunk_ms = 1000;
	loop_sim_advance(r.loop, 59000);
	CHECK_INT(r.ended, 0);
	loop_sim_advance(r.loop, 7000);
	CHECK_INT(r.ended, 1);
	CHECK_STR(r.outcome, "ok");
	CHECK_INT(r.left, 1);
	CHECK(r.rows_ended >= 59000 && r.rows_ended <= 61000);
	rig_end(&r);
}

/* A chunk of rows that were set aside has others behind it. */
static void
a_scan_goes_past_what_is_skipped(void)
{
	struct rig r;

	rig_start(&r, scan, 1, HOUR, "");
	r.chunks_left = 5;
	loop_sim_advance(r.loop, 100);
	CHECK_INT(r.ended, 1);
	CHECK_INT(r.chunks_left, -1);
	CHECK_INT(r.rows_ended, 1);
	rig_end(&r);
}

static void
what_cannot_wait_runs_beside_the_ticks(void)
{
	struct rig r;

	rig_start(&r, scan, 1, HOUR, "renewal_scan|10|3000000|f|t");
	loop_sim_advance(r.loop, 5500);
	CHECK(r.ended >= 4 && r.ended <= 6); /* a look a second */
	CHECK_INT(r.budgets, 0);
	CHECK(strtoll(r.next, NULL, 10) > 2990000);
	r.rows = "renewal_scan|10|3000000|f|f";
	loop_sim_advance(r.loop, 1500);
	r.begun = 0;
	loop_sim_advance(r.loop, 2990000);
	CHECK_INT(r.begun, 0);
	loop_sim_advance(r.loop, 10000);
	CHECK_INT(r.begun, 1);
	CHECK_INT(r.budgets, 1);
	rig_end(&r);
}

static void
what_failed_is_not_woken(void)
{
	struct rig r;

	rig_start(&r, retention, 1, HOUR, "job_retention|10|0|f|t");
	r.is_away = true;
	loop_sim_advance(r.loop, 4000);
	CHECK_INT(r.ended, 1);
	CHECK_STR(r.outcome, "unavailable");
	loop_sim_advance(r.loop, 2000);
	CHECK_INT(r.ended, 2); /* its own way, after five seconds */
	rig_end(&r);
}

CHECK_MAIN(CHECK_ROW(a_duty_that_never_ran_is_due_at_once),
    CHECK_ROW(a_new_leader_goes_on_where_the_last_was),
    CHECK_ROW(a_planned_run_keeps_its_time),
    CHECK_ROW(one_that_is_off_says_why_and_never_runs),
    CHECK_ROW(an_interval_of_0_switches_it_off),
    CHECK_ROW(what_can_wait_leaves_room_for_others),
    CHECK_ROW(one_that_failed_runs_again_soon),
    CHECK_ROW(an_overdue_one_runs_once),
    CHECK_ROW(every_tick_is_moved_a_little),
    CHECK_ROW(never_twice_at_the_same_time), CHECK_ROW(a_few_at_a_time),
    CHECK_ROW(a_run_is_bounded), CHECK_ROW(somebody_asked_for_it),
    CHECK_ROW(leadership_ends_runs), CHECK_ROW(the_term_is_over),
    CHECK_ROW(a_scan_goes_on_until_a_short_chunk),
    CHECK_ROW(a_scan_stops_at_its_budget),
    CHECK_ROW(a_scan_goes_past_what_is_skipped),
    CHECK_ROW(what_cannot_wait_runs_beside_the_ticks),
    CHECK_ROW(what_failed_is_not_woken))
