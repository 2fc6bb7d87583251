/*
 * A lease of tasks: known and unknown kinds, success, failure, and a lease
 * that is lost while they run.
 */
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "common/base/enc.h"
#include "tests/support/db_script.h"
#include "tests/unit/check.h"
#include "tests/unit/worker/rig.h"

#define TASK_COLS "id|kind|subject|issuer_id|payload"

static struct op *
start(struct rig *r)
{
	struct grant g = {.lease_id = 7, .is_tasks = true, .issuer_id = ""};
	struct slot_end end = rig_end(r);

	return task_start(&r->env, &g, &end);
}

static void
expect_load(struct rig *r, const char *rows)
{
	db_script_expect(r->pool, Q_TASKS_LOAD, "worker-1|7");
	db_script_rows(r->pool, TASK_COLS, rows);
}

static void
test_ca_init(void)
{
	struct rig *r = rig_new();

	expect_load(r, "task-1|ca_init|iss-1|iss-1|{}");
	db_script_expect(r->pool, Q_TASK_CA_INIT_DONE, "worker-1|7|task-1");
	db_script_rows(r->pool, "issuer_id", "iss-1");
	(void)start(r);
	rig_run_until_ended(r);
	CHECK_INT(r->code, RC_OK);
	CHECK(r->cert_pem[0] != '\0');
	CHECK(db_script_is_done(r->pool));
	rig_free(r);
}

static void
test_ca_init_that_fails(void)
{
	struct rig *r = rig_new();

	r->config = "{\"ca_key_path\":\"/x\"}";
	expect_load(r, "task-1|ca_init|iss-1|iss-1|{}");
	db_script_expect(r->pool, Q_TASK_CA_INIT_FAILED, "worker-1|7|task-1");
	db_script_expect(r->pool, Q_TASK_FAILED,
	    "worker-1|7|task-1|*both, or neither*|1");
	db_script_rows(r->pool, "status", "Pending");
	(void)start(r);
	rig_run_until_ended(r);
	CHECK_INT(r->code, RC_OK);
	CHECK(db_script_is_done(r->pool));
	rig_free(r);
}

#define CRL_LEASE "worker-1|7|task-1"
#define CRL_HEAD "crl_number|this_update|snapshot|ca_fingerprint|former_key"
#define CRL_ROWS "serial|revoked_at|reason"
#define SERIAL(tail) "50000000000000000000000000000000000000" tail

static void
expect_crl_load(struct rig *r, const char *head, const char *rows)
{
	expect_load(r, "task-1|crl_build|iss-1|iss-1|{}");
	db_script_expect(r->pool, Q_CRL_BEGIN, CRL_LEASE "|iss-1");
	db_script_rows(r->pool, CRL_HEAD, head);
	db_script_also(r->pool, Q_CRL_REVOCATIONS, CRL_LEASE);
	db_script_rows(r->pool, CRL_ROWS, rows);
}

/* What was stored, for the test to read. */
static void
on_crl_store(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	char *hex = arg;

	snprintf(hex, 8192, "%s", stmt->params[3]);
	CHECK_STR(stmt->params[2], "task-1");
	CHECK_STR(stmt->params[4], "1800000005");
	CHECK_STR(stmt->params[5], "1800000000");
	CHECK_STR(stmt->params[6], "1800086400");
	CHECK_STR(stmt->params[7], "2");
	CHECK_INT(strlen(stmt->params[8]), 36);
	CHECK_INT(strncmp(stmt->params[8], "W/\"", 3), 0);
	CHECK_INT(strlen(stmt->params[9]), 64);
	CHECK_STR(stmt->params[10], "5:5:");
	db_script_rows(p, "outcome", "stored");
}

static void
test_crl_build(void)
{
	char hex[8192] = "";
	struct rig *r = rig_new();
	uint8_t der[4096];
	const uint8_t *at = der;
	size_t len;
	X509_CRL *crl;
	X509_REVOKED *found;
	ASN1_INTEGER *serial;

	/* One stands there twice, with another reason; two are no serials. */
	expect_crl_load(r, "1800000005|1800000000|5:5:||\\N",
	    "0000000000000000000000000000000000000000|1799990000|"
	    "superseded\n" SERIAL("01") "|1799990000|keyCompromise\n" SERIAL(
		"01") "|1799990001|superseded\n" SERIAL("02") "|1799990002|"
							      "unspecified\n"
							      "0000000000000000"
							      "0000000000000000"
							      "00000five|"
							      "1799990000|"
							      "superseded");
	db_script_on(r->pool, Q_CRL_STORE, on_crl_store, hex);
	(void)start(r);
	rig_run_until_ended(r);
	CHECK_INT(r->code, RC_OK);
	CHECK(db_script_is_done(r->pool));
	len = (strlen(hex) - 2) / 2;
	CHECK_INT(enc_unhex(hex + 2, der, len), RC_OK);
	crl = d2i_X509_CRL(NULL, &at, (long)len);
	CHECK(crl != NULL && at == der + len);
	serial = s2i_ASN1_INTEGER(NULL, "0x" SERIAL("01"));
	CHECK_INT(X509_CRL_get0_by_serial(crl, &found, serial), 1);
	ASN1_INTEGER_free(serial);
	CHECK_INT(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), 2);
	X509_CRL_free(crl);
	rig_free(r);
}

static void
test_crl_build_without_its_lease(void)
{
	struct rig *r = rig_new();

	expect_crl_load(r, "", "");
	db_script_expect(r->pool, Q_TASK_FAILED, CRL_LEASE "|*not ours*|1");
	(void)start(r);
	rig_run_until_ended(r);
	CHECK_INT(r->code, RC_OK);
	CHECK(db_script_is_done(r->pool));
	rig_free(r);
}

static void
test_crl_build_that_fails(void)
{
	struct rig *r = rig_new();

	r->config = "{\"ca_key_path\":\"/x\"}";
	expect_crl_load(r, "5|1800000000|5:5:||\\N", "");
	db_script_expect(r->pool, Q_CRL_FAILED,
	    CRL_LEASE "|*|*both, or neither*");
	db_script_expect(r->pool, Q_TASK_FAILED,
	    CRL_LEASE "|*both, or neither*|1");
	db_script_rows(r->pool, "status", "Pending");
	(void)start(r);
	rig_run_until_ended(r);
	CHECK(db_script_is_done(r->pool));
	rig_free(r);
}

static void
test_crl_build_that_this_host_cannot_do_costs_nothing(void)
{
	struct rig *r = rig_new();

	r->config = "{\"ca_cert_path\":\"/nowhere/x\","
		    "\"ca_key_path\":\"/nowhere/x\"}";
	expect_crl_load(r, "5|1800000000|5:5:||\\N", "");
	db_script_expect(r->pool, Q_CRL_FAILED,
	    CRL_LEASE "|*|*/nowhere/x cannot be read*");
	db_script_expect(r->pool, Q_TASK_FAILED,
	    CRL_LEASE "|*/nowhere/x cannot be read*|0");
	db_script_rows(r->pool, "status", "Pending");
	(void)start(r);
	rig_run_until_ended(r);
	CHECK(db_script_is_done(r->pool));
	CHECK(host_faults_why(r->host, "iss-1") != NULL);
	rig_free(r);
}

static void
test_unknown_kind_fails_for_good_beside_a_good_one(void)
{
	struct rig *r = rig_new();

	expect_load(r, "task-1|brew_coffee|pot|\\N|{}\n"
		       "task-2|ca_init|iss-1|iss-1|{}");
	db_script_expect(r->pool, Q_TASK_CA_INIT_DONE, "worker-1|7|task-2");
	db_script_rows(r->pool, "issuer_id", "iss-1");
	db_script_expect(r->pool, Q_TASK_FAILED,
	    "worker-1|7|task-1|*no tasks of kind brew_coffee|1000000");
	db_script_rows(r->pool, "status", "Failed");
	(void)start(r);
	rig_run_until_ended(r);
	CHECK_INT(r->code, RC_OK);
	CHECK(db_script_is_done(r->pool));
	rig_free(r);
}

static void
test_failure_is_written_until_it_is(void)
{
	struct rig *r = rig_new();

	expect_load(r, "task-1|brew_coffee|pot|\\N|{}");
	db_script_expect(r->pool, Q_TASK_FAILED, NULL);
	db_script_code(r->pool, RC_UNAVAILABLE);
	db_script_expect(r->pool, Q_TASK_FAILED, NULL);
	db_script_error(r->pool, "40P01", "deadlock", NULL);
	db_script_expect(r->pool, Q_TASK_FAILED, NULL);
	db_script_rows(r->pool, "status", "Failed");
	(void)start(r);
	rig_run_until_ended(r);
	CHECK_INT(r->code, RC_OK);
	CHECK(db_script_is_done(r->pool));
	rig_free(r);
}

static void
test_empty_lease(void)
{
	struct rig *r = rig_new();

	expect_load(r, "");
	(void)start(r);
	rig_run_until_ended(r);
	CHECK_INT(r->code, RC_OK);
	rig_free(r);
}

static void
test_those_that_end_together(void)
{
	struct rig *r = rig_new();

	expect_load(r, "task-1|noop|x|\\N|{}\n"
		       "task-2|brew_coffee|pot|\\N|{}\n"
		       "task-3|noop|x|\\N|{}");
	db_script_expect(r->pool, Q_TASKS_DONE, NULL);
	db_script_code(r->pool, RC_UNAVAILABLE);
	db_script_expect(r->pool, Q_TASKS_DONE,
	    "worker-1|7|{\"task-1\",\"task-3\"}");
	db_script_rows(r->pool, "done", "2");
	db_script_expect(r->pool, Q_TASK_FAILED,
	    "worker-1|7|task-2|*no tasks of kind brew_coffee|1000000");
	db_script_rows(r->pool, "status", "Failed");
	(void)start(r);
	rig_run_until_ended(r);
	CHECK_INT(r->code, RC_OK);
	CHECK(db_script_is_done(r->pool));
	rig_free(r);
}

/* A worker that distrusts itself writes nothing. */
static void
test_no_end_without_trust(void)
{
	struct rig *r = rig_new();

	expect_load(r, "task-1|noop|x|\\N|{}");
	db_script_after(r->pool, 3000);
	r->is_down = true;
	(void)start(r);
	rig_run_until_ended(r);
	CHECK(r->code != RC_OK);
	CHECK(db_script_is_done(r->pool));
	rig_free(r);
}

/* The children end with the lease's op, and touch nothing of it. */
static void
test_lost_lease(void)
{
	struct rig *r = rig_new();
	struct op *op;

	expect_load(r, "task-1|ca_init|iss-1|iss-1|{}\n"
		       "task-2|ca_init|iss-1|iss-1|{}");
	db_script_expect(r->pool, Q_CA_LOAD, NULL);
	db_script_after(r->pool, -1);
	op = start(r);
	loop_sim_advance(r->loop, 100);
	CHECK(!r->has_ended);
	op_abort(op, RC_LEASE_LOST);
	CHECK(r->has_ended);
	loop_sim_advance(r->loop, 5000);
	CHECK(db_script_is_done(r->pool));
	rig_free(r);
}

CHECK_MAIN(CHECK_ROW(test_ca_init), CHECK_ROW(test_ca_init_that_fails),
    CHECK_ROW(test_crl_build), CHECK_ROW(test_crl_build_without_its_lease),
    CHECK_ROW(test_crl_build_that_fails),
    CHECK_ROW(test_crl_build_that_this_host_cannot_do_costs_nothing),
    CHECK_ROW(test_unknown_kind_fails_for_good_beside_a_good_one),
    CHECK_ROW(test_failure_is_written_until_it_is), CHECK_ROW(test_empty_lease),
    CHECK_ROW(test_those_that_end_together),
    CHECK_ROW(test_no_end_without_trust), CHECK_ROW(test_lost_lease))
