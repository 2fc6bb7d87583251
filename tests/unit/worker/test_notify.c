/*
 * A message as a task, up to where it would leave and after it: what is not
 * configured, what nobody wants any more, an end that can't be stored; and
 * the digest's recipients.
 */
#include <stdio.h>

#include "tests/support/db_script.h"
#include "tests/unit/check.h"
#include "tests/unit/worker/rig.h"

#define TASK_COLS "id|kind|subject|issuer_id|payload"
#define COLS \
	"channel|type|severity|recipient|message|certificate_id|total|" \
	"created_" \
	"us|now_unix"
#define ROW(channel) \
	channel "|ExpirationWarning|critical|o@example.com|it ends|mc-1|1|1|1"
#define LEASE "worker-1|7|task-1"
#define END_COLS "is_ours|status"

static const char *recipients[] = {NULL, NULL, NULL};
static const struct notifier_settings *settings;

static struct rig *
start(const char *kind, const char *subject)
{
	static const struct notifier_settings off = {
	    .smtp_host = "",
	    .smtp_from = "",
	    .slack_url = "",
	    .digest_recipients = recipients,
	};
	static unsigned under_way[NOTIFIER_COUNT];
	static struct notifier_env env;
	struct rig *r = rig_new();
	char row[128];

	env = (struct notifier_env){
	    .settings = settings ? settings : &off,
	    .under_way = under_way,
	};
	r->env.notifier = &env;
	snprintf(row, sizeof(row), "task-1|%s|%s||{}", kind, subject);
	db_script_expect(r->pool, Q_TASKS_LOAD, "worker-1|7");
	db_script_rows(r->pool, TASK_COLS, row);
	return r;
}

static void
finish(struct rig *r, rc code)
{
	struct grant g = {.lease_id = 7, .is_tasks = true, .issuer_id = ""};
	struct slot_end end = rig_end(r);

	(void)task_start(&r->env, &g, &end);
	rig_run_until_ended(r);
	CHECK_INT(r->code, code);
	CHECK(db_script_is_done(r->pool));
	rig_free(r);
}

static struct rig *
start_message(const char *rows)
{
	struct rig *r = start("notify", "Slack");

	db_script_expect(r->pool, Q_NOTIFICATION_LOAD, LEASE "|100");
	db_script_rows(r->pool, COLS, rows);
	return r;
}

static void
test_a_channel_that_is_off(void)
{
	struct rig *r = start_message(ROW("Slack"));

	db_script_expect(r->pool, Q_NOTIFICATION_FAILED,
	    LEASE "|*set CERTCTL_SLACK_WEBHOOK_URL for the workers*|t|0|0");
	db_script_rows(r->pool, END_COLS, "t|dead");
	finish(r, RC_OK);
}

static void
test_a_channel_that_there_is_not(void)
{
	struct rig *r = start_message(ROW("Pigeon"));

	db_script_expect(r->pool, Q_NOTIFICATION_FAILED,
	    LEASE "|this worker knows no such channel|t|0|1");
	db_script_rows(r->pool, END_COLS, "t|dead");
	finish(r, RC_OK);
}

static void
test_what_nobody_wants_any_more(void)
{
	struct rig *r = start_message("");

	db_script_expect(r->pool, Q_NOTIFICATION_SENT, LEASE);
	db_script_rows(r->pool, END_COLS, "t|sent");
	finish(r, RC_OK);
}

/* Its end is tried again: given up, it would be sent again. */
static void
test_an_end_that_is_stored_late(void)
{
	struct rig *r = start_message(ROW("Slack"));

	db_script_expect(r->pool, Q_NOTIFICATION_FAILED, NULL);
	db_script_error(r->pool, "", "gone", NULL);
	db_script_expect(r->pool, Q_NOTIFICATION_FAILED, NULL);
	db_script_error(r->pool, "55P03", "held", NULL);
	db_script_expect(r->pool, Q_NOTIFICATION_FAILED, LEASE "|*|t|0|0");
	db_script_rows(r->pool, END_COLS, "t|dead");
	finish(r, RC_OK);
}

static void
test_a_lease_that_is_lost(void)
{
	struct rig *r = start_message(ROW("Slack"));

	db_script_expect(r->pool, Q_NOTIFICATION_FAILED, NULL);
	db_script_rows(r->pool, END_COLS, "f|");
	db_script_expect(r->pool, Q_TASK_FAILED, NULL);
	finish(r, RC_OK);
}

static void
test_a_digest_without_mail(void)
{
	struct rig *r = start("digest", "");

	db_script_expect(r->pool, Q_TASK_FAILED,
	    LEASE "|mail is not configured*|1000000");
	db_script_rows(r->pool, "status", "Failed");
	finish(r, RC_OK);
}

static void
digest_to(const char *first, const char *second, const char *array)
{
	static const struct notifier_settings mail = {
	    .smtp_host = "mail.example",
	    .smtp_from = "a@example.com",
	    .digest_recipients = recipients,
	};
	char params[128];
	struct rig *r;

	settings = &mail;
	recipients[0] = first;
	recipients[1] = second;
	r = start("digest", "");
	settings = NULL;
	snprintf(params, sizeof(params), LEASE "|%s", array);
	db_script_expect(r->pool, Q_DIGEST_SPREAD, params);
	db_script_rows(r->pool, "is_ours", "t");
	finish(r, RC_OK);
}

static void
test_whom_a_digest_is_for(void)
{
	digest_to(NULL, NULL, "{}");
	digest_to("a@example.com", "b@example.com",
	    "{\"a@example.com\",\"b@example.com\"}");
}

CHECK_MAIN(CHECK_ROW(test_a_channel_that_is_off),
    CHECK_ROW(test_a_channel_that_there_is_not),
    CHECK_ROW(test_what_nobody_wants_any_more),
    CHECK_ROW(test_an_end_that_is_stored_late),
    CHECK_ROW(test_a_lease_that_is_lost), CHECK_ROW(test_a_digest_without_mail),
    CHECK_ROW(test_whom_a_digest_is_for))
