#include "tests/unit/scheduler/duty_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/duties/duties.h"
#include "tests/support/db_script.h"
#include "tests/unit/check.h"

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

const struct duty_def rig_one[RIG_ONE] = {
    {"one", "one_interval", 60000, slow_start},
};
const struct duty_def rig_four[RIG_FOUR] = {
    {"one", "one_interval", 60000, slow_start},
    {"two", "one_interval", 60000, slow_start},
    {"three", "one_interval", 60000, slow_start},
    {"four", "one_interval", 60000, slow_start},
};
const struct duty_def rig_scan[RIG_ONE] = {
    {"renewal_scan", "one_interval", 0, duty_renewal_scan},
};

const struct duty_def rig_retention[RIG_ONE] = {
    {"job_retention", "one_interval", 20000, duty_statement,
	Q_DUTY_JOB_RETENTION, 500, DUTY_GENTLY, false, {"job_retention"},
	"job_retention", "CERTCTL_JOB_RETENTION is 0"},
};

static int64_t interval_of_one;
int64_t rig_retention_ms = 720000;

static int64_t
setting(void *arg, const char *key)
{
	return strcmp(key, "job_retention") == 0 ? rig_retention_ms
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

void
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

void
rig_end(struct rig *r)
{
	duties_free(r->duties);
	loop_sim_advance(r->loop, 0); /* ops are freed a turn later */
	leader_free(r->leader);
	db_pool_free(r->pool);
	loop_free(r->loop);
}
