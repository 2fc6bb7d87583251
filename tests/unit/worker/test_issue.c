/*
 * A lease of issuance jobs from load to end, on a database that refuses,
 * forgets, disappears and lies about what it committed.
 */
#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/json/json.h"
#include "common/pki/cert/cert.h"
#include "common/policy/policy.h"
#include "tests/support/db_script.h"
#include "tests/unit/check.h"
#include "tests/unit/worker/rig.h"
#include "worker/issuers/journal_leaf.h"

/* The CA exists before the batch comes. */
static struct rig *
rig_with_ca(size_t njobs)
{
	struct rig *r = rig_new();
	struct local_ca *ca;
	const char *why;
	rc code;

	code = local_ca_get(r->cas, "iss-1", "", &ca, &why);
	CHECK_INT(code, RC_BUSY);
	loop_sim_advance(r->loop, 1);
	code = local_ca_get(r->cas, "iss-1", NULL, &ca, &why);
	CHECK_INT(code, RC_OK);
	local_ca_unref(ca);
	for (size_t i = 0; i < njobs; i++)
		(void)rig_add_job(r);
	return r;
}

static void
test_signs_and_stores(void)
{
	struct rig *r = rig_with_ca(3);
	struct arena *a = arena_new();
	struct cert_info info;
	X509 *x;
	rc code;

	rig_issue(r);
	CHECK_INT(r->code, RC_OK);
	CHECK_INT(r->completions, 1);
	CHECK_INT(rig_journal_lines(r), 3);
	for (size_t i = 0; i < 3; i++) {
		CHECK(r->jobs[i].is_completed);
		CHECK_STR(r->jobs[i].outcome, "");
		code =
		    cert_from_pem(r->jobs[i].pem, strlen(r->jobs[i].pem), &x);
		CHECK_INT(code, RC_OK);
		code = cert_read(a, x, &info);
		CHECK_INT(code, RC_OK);
		CHECK_STR(info.serial_hex, r->jobs[i].serial);
		CHECK_INT(info.not_after_unix, 4000000000);
		CHECK_STR(info.common_name, "demo.example");
		X509_free(x);
	}
	CHECK_STR(r->hint, "{\"agents\":[\"agent-1\"],"
			   "\"finished\":[\"job-00\",\"job-01\",\"job-02\"]}");
	CHECK(db_script_is_done(r->pool));
	arena_free(a);
	rig_free(r);
}

/* Not a job of the batch suffers from its neighbours. */
static void
test_bad_rows_fail_alone(void)
{
	static char cut[4096];
	struct rig *r = rig_with_ca(10);

	r->jobs[0].csr_pem = NULL;
	r->jobs[1].csr_pem = "rubbish";
	r->jobs[2].serial = NULL;
	r->jobs[3].not_after = r->jobs[3].not_before;
	r->jobs[4].not_before = NULL;
	r->jobs[5].extensions = "{\"ekus\":\"serverAuth\"}";
	r->jobs[6].extensions = "{\"ekus\":[\"flying\"]}";
	r->jobs[7].id = "job with blanks";
	/* One changed character inside the signature. */
	snprintf(cut, sizeof(cut), "%s", rig_csr());
	cut[strlen(cut) - 60] = cut[strlen(cut) - 60] == 'A' ? 'B' : 'A';
	r->jobs[8].csr_pem = cut;
	rig_issue(r);
	CHECK_INT(r->code, RC_OK);
	for (size_t i = 0; i < 9; i++) {
		CHECK(!r->jobs[i].is_completed);
		CHECK_STR(r->jobs[i].outcome, "fail");
		CHECK(strlen(r->jobs[i].error) > 10);
	}
	CHECK(r->jobs[9].is_completed);
	CHECK_INT(rig_journal_lines(r), 1);
	CHECK(strstr(r->jobs[0].error, "no CSR") != NULL);
	CHECK(strstr(r->jobs[2].error, "serial") != NULL);
	rig_free(r);
}

/* What the CA's own end leaves must serve; what is over is ordered anew. */
static void
test_no_time_left(void)
{
	struct rig *r = rig_with_ca(3);
	int64_t now = clock_wall_us() / 1000000;
	char ends[2][24], said[64];
	struct local_ca *ca;
	const char *why;
	rc code;

	code = local_ca_get(r->cas, "iss-1", NULL, &ca, &why);
	CHECK_INT(code, RC_OK);
	ca->not_after_unix = now + POLICY_LIFE_LEAST - 10;
	snprintf(ends[0], sizeof(ends[0]), "%" PRId64, ca->not_after_unix);
	snprintf(ends[1], sizeof(ends[1]), "%" PRId64, now - 1);
	r->jobs[0].not_after = ends[0];
	r->jobs[1].not_after = ends[1];
	r->jobs[2].not_after = ends[0];
	r->jobs[2].is_cancelled = true;
	rig_issue(r);
	CHECK_STR(r->jobs[0].outcome, "fail");
	CHECK(strstr(r->jobs[0].error, "the CA ends in ") != NULL);
	snprintf(said, sizeof(said), "under %d s is not given",
	    POLICY_LIFE_LEAST);
	CHECK(strstr(r->jobs[0].error, said) != NULL);
	CHECK_STR(r->jobs[1].outcome, "release");
	CHECK_STR(r->jobs[2].outcome, "cancel");
	CHECK_INT(rig_journal_lines(r), 0);
	local_ca_unref(ca);
	rig_free(r);
}

static void
test_cancelled_before_signing(void)
{
	struct rig *r = rig_with_ca(3);

	r->jobs[0].is_cancelled = true;
	r->cancel = "job-01"; /* came with a renewal, after the claim */
	loop_sim_advance(r->loop, 600);
	CHECK(lease_is_cancelled(r->lease, "job-01"));
	rig_issue(r);
	CHECK_STR(r->jobs[0].outcome, "cancel");
	CHECK_STR(r->jobs[1].outcome, "cancel");
	CHECK(r->jobs[2].is_completed);
	CHECK_INT(rig_journal_lines(r), 1);
	rig_free(r);
}

#define PROFILE(more) \
	"{\"id\":\"prof-x\",\"enabled\":true," more \
	",\"allowed_key_algorithms\":[{\"algorithm\":\"ECDSA\"}]}"

/* What the profile is now decides, job by job, before anything is signed. */
static void
test_profile(void)
{
	struct rig *r = rig_with_ca(4);

	r->jobs[0].profile = PROFILE("\"max_ttl_seconds\":0");
	r->jobs[1].profile = PROFILE("\"max_ttl_seconds\":60");
	r->jobs[2].profile = PROFILE("\"max_ttl_seconds\":\"x\"");
	rig_issue(r);
	CHECK(r->jobs[0].is_completed);
	CHECK_STR(r->jobs[1].outcome, "fail");
	CHECK(strstr(r->jobs[1].error, "longer than its max_ttl_seconds (60)"));
	CHECK_STR(r->jobs[2].outcome, "fail");
	CHECK(strstr(r->jobs[2].error, "prof-x makes no sense"));
	CHECK(r->jobs[3].is_completed);
	CHECK_INT(rig_journal_lines(r), 2);
	rig_free(r);
}

/* Nor is what a Critical policy rule forbids. */
static void
test_policy_rule(void)
{
	struct rig *r = rig_with_ca(2);

	r->jobs[0].broken_rule = "require-owner";
	rig_issue(r);
	CHECK_STR(r->jobs[0].outcome, "fail");
	CHECK(strstr(r->jobs[0].error,
	    "policy require-owner (Critical) does not allow it: its tags lack: "
	    "owner; change the certificate"));
	CHECK(r->jobs[1].is_completed);
	CHECK_INT(rig_journal_lines(r), 1);
	rig_free(r);
}

/* A serial fixed for another CA, or for none, is never signed. */
static void
test_other_ca_is_released(void)
{
	struct rig *r = rig_with_ca(2);

	r->jobs[0].ca = "0123";
	rig_issue(r);
	CHECK_STR(r->jobs[0].outcome, "release");
	CHECK(r->jobs[1].is_completed);
	CHECK_INT(rig_journal_lines(r), 1);
	CHECK(strstr(r->hint, "\"jobs\":1,\"issuers\":[\"iss-1\"]") != NULL);
	rig_free(r);
}

static void
test_first_batch_of_a_new_ca(void)
{
	struct rig *r = rig_new();

	(void)rig_add_job(r);
	r->jobs[0].ca = ""; /* claimed before there was a CA */
	rig_issue(r);
	CHECK_INT(r->code, RC_OK);
	CHECK_STR(r->jobs[0].outcome, "release");
	CHECK_INT(rig_journal_lines(r), 0);
	r->jobs[0].ca = NULL; /* claimed anew */
	rig_issue(r);
	CHECK(r->jobs[0].is_completed);
	rig_free(r);
}

static void
test_culprit_is_found_by_halving(void)
{
	struct rig *r = rig_with_ca(33);

	r->culprit = "job-21";
	rig_issue(r);
	CHECK_INT(r->code, RC_OK);
	for (size_t i = 0; i < r->njobs; i++) {
		struct rig_job *j = &r->jobs[i];

		if (strcmp(j->id, "job-21") == 0) {
			CHECK_STR(j->outcome, "fail");
			CHECK(strstr(j->error, "planted culprit") != NULL);
			CHECK(strstr(j->error, "c_x") != NULL);
			CHECK(!j->is_completed);
		} else {
			CHECK(j->is_completed);
			CHECK_STR(j->outcome, "");
		}
	}
	/* About two a level, not one a job. */
	CHECK(r->completions <= 14);
	rig_free(r);
}

/* The rest is stored without it, and it goes back with the reason. */
static void
test_what_somebody_holds_is_found_by_halving(void)
{
	struct rig *r = rig_with_ca(33);

	r->culprit = "job-21";
	r->culprit_is_held = true;
	rig_issue(r);
	CHECK_INT(r->code, RC_OK);
	for (size_t i = 0; i < r->njobs; i++) {
		struct rig_job *j = &r->jobs[i];
		bool is_culprit = strcmp(j->id, "job-21") == 0;

		CHECK_STR(j->outcome, is_culprit ? "held" : "");
		CHECK(j->is_completed == !is_culprit);
	}
	CHECK(strstr(r->jobs[21].error, "open transaction holds") != NULL);
	CHECK(strstr(r->hint, "job-21") == NULL);
	/* About two a level, and some tries more of it alone. */
	CHECK(r->completions <= 19);
	rig_free(r);
}

/* Its own row: tried again a little, and left to its lease. */
static void
test_a_held_job_is_tried_again(void)
{
	struct rig *r = rig_with_ca(3);

	r->held = "job-01";
	r->held_asked = 3;
	rig_issue(r);
	CHECK_INT(r->completions, 4);
	CHECK(r->jobs[0].is_completed && r->jobs[1].is_completed &&
	      r->jobs[2].is_completed);
	rig_free(r);

	r = rig_with_ca(3);
	r->held = "job-01";
	r->held_asked = 1000;
	rig_issue(r);
	CHECK_INT(r->code, RC_OK);
	CHECK_INT(r->completions, 6);
	CHECK(r->jobs[0].is_completed && !r->jobs[1].is_completed);
	CHECK_STR(r->jobs[1].outcome, "");
	CHECK(strstr(r->hint, "job-01") == NULL);
	rig_free(r);
}

static void
test_a_held_job_is_set_aside_when_it_is_free(void)
{
	struct rig *r = rig_with_ca(2);

	r->jobs[0].csr_pem = "rubbish";
	r->held = "job-00";
	r->held_asked = 2;
	rig_issue(r);
	CHECK_STR(r->jobs[0].outcome, "fail");
	CHECK(r->jobs[1].is_completed && r->held_asked == -1);
	rig_free(r);
}

static void
test_deadlock_is_tried_again(void)
{
	struct rig *r = rig_with_ca(2);

	r->sqlstate = "40P01";
	r->failures = 5;
	rig_issue(r);
	CHECK_INT(r->completions, 6);
	CHECK(r->jobs[0].is_completed && r->jobs[1].is_completed);
	rig_free(r);

	r = rig_with_ca(2);
	r->sqlstate = "40001";
	r->failures = 6;
	rig_issue(r);
	CHECK_INT(r->completions, 6);
	CHECK_STR(r->jobs[0].outcome, "release");
	CHECK_STR(r->jobs[1].outcome, "release");
	rig_free(r);
}

/* The commit's answer was lost: asking again finds the receipts. */
static void
test_lost_answer(void)
{
	struct rig *r = rig_with_ca(2);

	r->sqlstate = "";
	r->failures = 3;
	r->failures_commit = true;
	rig_issue(r);
	CHECK_INT(r->code, RC_OK);
	CHECK_INT(r->completions, 4);
	CHECK(r->jobs[0].is_completed && r->jobs[1].is_completed);
	CHECK(strstr(r->hint, "job-01") != NULL);
	rig_free(r);
}

/* Only as long as the worker's own lease is trusted. */
static void
test_database_gone_ends_with_the_lease(void)
{
	struct rig *r = rig_with_ca(2);

	r->sqlstate = "57P01";
	r->failures = 1000000;
	r->is_down = true;
	rig_issue(r);
	CHECK_INT(r->code, RC_LEASE_LOST);
	CHECK(!r->jobs[0].is_completed);
	CHECK_STR(r->jobs[0].outcome, "");
	CHECK(r->completions >= 8);
	rig_free(r);
}

static void
test_untrusted_worker_signs_nothing(void)
{
	struct rig *r = rig_with_ca(2);

	r->is_down = true;
	loop_sim_advance(r->loop, 2000);
	CHECK(!lease_is_trusted(r->lease));
	rig_issue(r);
	CHECK_INT(r->code, RC_LEASE_LOST);
	CHECK_INT(rig_journal_lines(r), 0);
	CHECK_INT(r->completions, 0);
	rig_free(r);
}

static void
test_lost_job_is_dropped(void)
{
	struct rig *r = rig_with_ca(2);

	r->lost = "job-00";
	rig_issue(r);
	CHECK_INT(r->code, RC_OK);
	CHECK(!r->jobs[0].is_completed);
	CHECK_STR(r->jobs[0].outcome, "");
	CHECK(r->jobs[1].is_completed);
	CHECK(strstr(r->hint, "job-00") == NULL);
	rig_free(r);
}

static void
test_unknown_failure_is_put_off(void)
{
	struct rig *r = rig_with_ca(2);

	r->sqlstate = "42501";
	r->failures = 1;
	rig_issue(r);
	CHECK_STR(r->jobs[0].outcome, "retry");
	CHECK(strstr(r->jobs[0].error, "planted") != NULL);
	CHECK_INT(r->completions, 1);
	rig_free(r);
}

static void
test_other_issuer_types_fail(void)
{
	struct rig *r = rig_with_ca(1);

	r->type = "Elsewhere";
	rig_issue(r);
	CHECK_STR(r->jobs[0].outcome, "fail");
	CHECK(strstr(r->jobs[0].error, "Elsewhere") != NULL);
	rig_free(r);
}

static void
test_ca_that_this_host_cannot_read_is_no_attempt(void)
{
	struct rig *r = rig_new();

	(void)rig_add_job(r);
	r->config = "{\"ca_cert_path\":\"/nowhere/ca.pem\","
		    "\"ca_key_path\":\"/nowhere/ca.key\"}";
	rig_issue(r);
	CHECK_INT(r->code, RC_OK);
	CHECK_STR(r->jobs[0].outcome, "release");
	CHECK(strstr(r->jobs[0].error, "/nowhere/ca.pem cannot be read: No "
				       "such file or directory") != NULL);
	CHECK(host_faults_why(r->host, "iss-1") != NULL);
	/* Another's configuration is looked at once a second, without jobs. */
	loop_sim_advance(r->loop, 3 * HOST_TRY_MS);
	CHECK(host_faults_why(r->host, "iss-1") != NULL);
	r->config = "{}";
	loop_sim_advance(r->loop, 3 * HOST_TRY_MS);
	CHECK(!host_faults_why(r->host, "iss-1"));
	rig_issue(r);
	CHECK_INT(r->completions, 1);
	rig_free(r);
}

/* Nothing is signed that the journal does not hold, and it costs no attempt. */
static void
test_journal_that_cannot_be_written(void)
{
	struct rig *r = rig_with_ca(2);
	char aside[96];

	snprintf(aside, sizeof(aside), "%s-aside", r->dir);
	CHECK(rename(r->dir, aside) == 0);
	for (int i = 0; i < 2; i++) { /* the second was granted before */
		rig_issue(r);
		CHECK_INT(r->completions, 0);
		CHECK_STR(r->jobs[1].outcome, "release");
		CHECK(strstr(r->jobs[1].error,
			  "given back by worker w: the issuance journal in ") !=
		      NULL);
		CHECK(strstr(r->jobs[1].error, "No such file or directory") !=
		      NULL);
	}
	CHECK(strstr(r->hint, "\"jobs\":2") != NULL);
	loop_sim_advance(r->loop, 2 * HOST_TRY_MS);
	CHECK(host_faults_why(r->host, "iss-1") != NULL);
	CHECK(rename(aside, r->dir) == 0);
	loop_sim_advance(r->loop, HOST_TRY_MS);
	CHECK(!host_faults_why(r->host, "iss-1"));
	rig_issue(r);
	CHECK_INT(r->completions, 1);
	CHECK_INT(rig_journal_lines(r), 2);
	rig_free(r);
}

static void
test_empty_lease(void)
{
	struct rig *r = rig_with_ca(0);

	rig_issue(r);
	CHECK_INT(r->code, RC_OK);
	CHECK_INT(r->completions, 0);
	rig_free(r);
}

/* The same job gives the same bytes, whatever the attempt. */
static void
test_repeated_attempt_journals_the_same_hash(void)
{
	struct rig *r = rig_with_ca(1);
	struct journal_line first, second;

	rig_issue(r);
	rig_issue(r);
	CHECK_INT(rig_journal_lines(r), 2);
	rig_journal_line(r, 0, &first);
	rig_journal_line(r, 1, &second);
	CHECK_STR(first.job_id, "job-00");
	CHECK_STR(first.serial_hex, r->jobs[0].serial);
	CHECK_STR(first.tbs_sha256_hex, second.tbs_sha256_hex);
	rig_free(r);
}

/* What recovery reads of the journal is what was stored. */
static void
test_journal_keeps_the_certificate(void)
{
	struct rig *r = rig_with_ca(2);
	struct arena *a = arena_new();
	const struct cJSON *object;
	const char *json = NULL, *why, *text;
	struct journal_line line;

	rig_issue(r);
	CHECK(rig_journal_leaf(r, 1, &line));
	CHECK_STR(line.job_id, "job-01");
	CHECK_STR(line.agent_id, "agent-1");
	CHECK_STR(line.ca_sha256_hex, r->fingerprint);
	CHECK_INT(journal_leaf_json(a, &line, &json), RC_OK);
	CHECK_INT(json_parse(a, json, strlen(json), &object, &why), RC_OK);
	CHECK_INT(json_str(object, "pem", 4096, &text), RC_OK);
	CHECK_STR(text, r->jobs[1].pem);
	CHECK_INT(json_str(object, "algorithm", 16, &text), RC_OK);
	CHECK_STR(text, "ECDSA");
	/* A certificate at another's line is no certificate. */
	line.tbs_sha256_hex[0] ^= 1;
	CHECK_INT(journal_leaf_json(a, &line, &json), RC_INVALID);
	rig_journal_line(r, 1, &line);
	CHECK_INT(journal_leaf_json(a, &line, &json), RC_NOT_FOUND);
	arena_free(a);
	rig_free(r);
}

CHECK_MAIN(CHECK_ROW(test_signs_and_stores),
    CHECK_ROW(test_bad_rows_fail_alone), CHECK_ROW(test_no_time_left),
    CHECK_ROW(test_cancelled_before_signing), CHECK_ROW(test_profile),
    CHECK_ROW(test_policy_rule), CHECK_ROW(test_other_ca_is_released),
    CHECK_ROW(test_first_batch_of_a_new_ca),
    CHECK_ROW(test_culprit_is_found_by_halving),
    CHECK_ROW(test_what_somebody_holds_is_found_by_halving),
    CHECK_ROW(test_a_held_job_is_tried_again),
    CHECK_ROW(test_a_held_job_is_set_aside_when_it_is_free),
    CHECK_ROW(test_deadlock_is_tried_again), CHECK_ROW(test_lost_answer),
    CHECK_ROW(test_database_gone_ends_with_the_lease),
    CHECK_ROW(test_untrusted_worker_signs_nothing),
    CHECK_ROW(test_lost_job_is_dropped),
    CHECK_ROW(test_unknown_failure_is_put_off),
    CHECK_ROW(test_other_issuer_types_fail),
    CHECK_ROW(test_ca_that_this_host_cannot_read_is_no_attempt),
    CHECK_ROW(test_empty_lease), CHECK_ROW(test_journal_that_cannot_be_written),
    CHECK_ROW(test_repeated_attempt_journals_the_same_hash),
    CHECK_ROW(test_journal_keeps_the_certificate))
