/*
 * Statements over the pool, against a real server: parameters, results, plans,
 * errors.
 */
#include "code_gen.h" /* CODE_SCHEMA */
#include "common/db/db_int.h"
#include "tests/unit/common/db/test_db.h"

static void
one_statement_gives_its_row(void)
{
	struct answer a;

	begin();
	SEND(&a, STMT0(Q_PING));
	CHECK_INT(a.calls, 0); /* never from inside db_submit */
	run_until(1);
	CHECK_INT(a.code, RC_OK);
	CHECK_INT(a.nresults, 1);
	CHECK_INT(db_nrows(a.results[0]), 1);
	CHECK_INT(i64_of(&a, "one"), 1);
	/* Again, on the connection that is there and knows it. */
	SEND(&a, STMT0(Q_PING));
	CHECK_INT(a.calls, 0);
	run_until(1);
	CHECK_INT(a.code, RC_OK);
	CHECK_INT(a.calls, 1);
	end();
}

static void
texts_and_nulls_arrive_as_they_are(void)
{
	struct answer a;
	const struct db_result *r;

	begin();
	CHECK_INT(ASK(&a, STMT(Q_T_ECHO, NULL, "b")), RC_OK);
	r = a.results[0];
	CHECK(db_is_null(r, 0, db_col(r, "a")));
	CHECK_STR(text_of(&a, "a"), "");
	CHECK(db_bool(r, 0, db_col(r, "a_null")));
	CHECK(db_bool(r, 0, db_col(r, "b_is_b")));
	CHECK(!db_is_null(r, 0, db_col(r, "b")));
	CHECK_INT(ASK(&a, STMT(Q_T_ECHO, "", "it's \\ \"x\" \xc3\xa4; --")),
	    RC_OK);
	r = a.results[0];
	CHECK(!db_is_null(r, 0, db_col(r, "a")));
	CHECK(!db_bool(r, 0, db_col(r, "a_null")));
	CHECK_STR(text_of(&a, "b"), "it's \\ \"x\" \xc3\xa4; --");
	CHECK_INT(ASK(&a, STMT(Q_T_NUMBER, "-9223372036854775808")), RC_OK);
	CHECK(i64_of(&a, "n") == INT64_MIN);
	CHECK_INT(ASK(&a, STMT(Q_T_NUMBER, NULL)), RC_OK);
	CHECK_INT(i64_of(&a, "n"), 0);
	end();
}

/* How often this connection keeps a plan of the statement that asks. */
static void
fresh_statements_keep_no_plan(void)
{
	struct db_opts o = opts_default();
	struct answer a;

	o.max_conns = 1;
	begin_with(&o);
	for (int i = 0; i < 7; i++) {
		CHECK_INT(ASK(&a, STMT(Q_T_FRESH, "t_fresh")), RC_OK);
		CHECK_INT(i64_of(&a, "n"), 0);
		CHECK_INT(ASK(&a, STMT(Q_T_KEPT, "t_kept")), RC_OK);
		CHECK_INT(i64_of(&a, "n"), 1);
	}
	end();
}

static void
parameters_are_copied(void)
{
	char text[] = "before";
	const char *params[] = {text, "b"};
	const struct db_stmt s = {Q_T_ECHO, 2, params};
	struct answer a;

	begin();
	send_all(&a, &s, 1);
	memcpy(text, "after!", sizeof(text));
	params[1] = NULL;
	run_until(1);
	CHECK_STR(text_of(&a, "a"), "before");
	CHECK_STR(text_of(&a, "b"), "b");
	end();
}

static void
batch_is_one_transaction(void)
{
	struct answer a;

	begin();
	make_table();
	CHECK_INT(ASK(&a, STMT(Q_T_INSERT, "1", "x", NULL),
		      STMT(Q_T_INSERT, "2", "y", NULL), STMT0(Q_T_COUNT)),
	    RC_OK);
	CHECK_INT(a.nresults, 3);
	CHECK_INT(db_naffected(a.results[0]), 1);
	CHECK_INT(i64_of(&a, "n"), 2);
	CHECK_INT(ASK(&a, STMT(Q_T_UPDATE_ALL, "z")), RC_OK);
	CHECK_INT(db_naffected(a.results[0]), 2);

	/* The second fails: nothing of the first stays. */
	CHECK_INT(ASK(&a, STMT(Q_T_INSERT, "3", "x", NULL),
		      STMT(Q_T_INSERT, "1", "y", NULL),
		      STMT(Q_T_INSERT, "4", "y", NULL)),
	    RC_CONFLICT);
	CHECK_STR(a.error.sqlstate, "23505");
	CHECK_STR(a.error.constraint, "t_pkey");
	CHECK_STR(a.error.detail, "Key (id)=(1) already exists.");
	CHECK_INT(a.error.statement, 1);
	CHECK_INT(a.nresults, 0);
	CHECK_INT(count_rows(), 2);
	end();
}

static void
failure_at_commit_is_a_failure(void)
{
	struct answer a;

	begin();
	make_table();
	/* Deferred: found out only at the end. */
	CHECK_INT(ASK(&a, STMT(Q_T_INSERT, "1", "x", NULL),
		      STMT(Q_T_INSERT, "2", "x", "77")),
	    RC_INVALID);
	CHECK_STR(a.error.sqlstate, "23503");
	CHECK_STR(a.error.constraint, "t_parent");
	CHECK_INT(a.error.statement, 1);
	CHECK_INT(count_rows(), 0);
	CHECK_INT(ASK(&a, STMT(Q_T_INSERT, "2", "x", "2")), RC_OK);
	CHECK_INT(count_rows(), 1);
	end();
}

static void
failed_prepare_is_not_remembered_as_done(void)
{
	struct db_opts o = opts_default();
	struct answer a;

	o.max_conns = 1;
	begin_with(&o);
	CHECK_INT(ASK(&a, STMT0(Q_T_DROP_LATER)), RC_OK);
	CHECK_INT(ASK(&a, STMT0(Q_PING), STMT(Q_T_OF_MISSING, "1")),
	    RC_INTERNAL);
	CHECK_STR(a.error.sqlstate, "42P01");
	CHECK_INT(a.error.statement, 1);
	CHECK_INT(ASK(&a, STMT0(Q_T_CREATE_LATER)), RC_OK);
	CHECK_INT(ASK(&a, STMT(Q_T_OF_MISSING, "1"), STMT(Q_T_OF_MISSING, "2")),
	    RC_OK);
	CHECK_INT(a.nresults, 2);
	CHECK_INT(ASK(&a, STMT0(Q_T_DROP_LATER)), RC_OK);
	end();
}

/* A failed statement before it hides whether a Prepare was made. */
static void
prepare_behind_a_failure_is_made_again(void)
{
	struct db_opts o = opts_default();
	struct answer a;

	o.max_conns = 1;
	begin_with(&o);
	CHECK_INT(ASK(&a, STMT(Q_T_NUMBER, "x"), STMT(Q_T_ECHO, "1", "2")),
	    RC_DATA);
	CHECK_INT(ASK(&a, STMT(Q_T_ECHO, "1", "2")), RC_OK);
	CHECK_INT(ASK(&a, STMT(Q_T_NUMBER, "5")), RC_OK);
	end();
}

static void
plan_from_before_a_migration_is_made_anew(void)
{
	struct db_opts o = opts_default();
	struct answer a;

	o.max_conns = 1;
	begin_with(&o);
	make_table();
	CHECK_INT(ASK(&a, STMT0(Q_T_ALL)), RC_OK);
	CHECK_INT(ASK(&a, STMT0(Q_T_WIDEN)), RC_OK);
	CHECK_INT(ASK(&a, STMT0(Q_T_ALL)), RC_UNAVAILABLE); /* retryable */
	CHECK_INT(ASK(&a, STMT0(Q_T_ALL)), RC_OK);
	end();
}

static void
statement_timeout_ends_the_statement_only(void)
{
	struct db_opts o = opts_default();
	struct answer a;
	struct db_stats st;

	o.statement_timeout_ms = 100;
	begin_with(&o);
	CHECK_INT(ASK(&a, STMT(Q_T_SLEEP, "10")), RC_UNAVAILABLE);
	CHECK_STR(a.error.sqlstate, "57014");
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_OK);
	db_pool_stats(pool, &st);
	CHECK_INT(st.resets, 0);
	end();
}

static void
errors_map_to_codes(void)
{
	static const struct {
		const char *state;
		rc code;
	} rows[] = {
	    {"23505", RC_CONFLICT},
	    {"23503", RC_INVALID},
	    {"23514", RC_DATA},
	    {"23502", RC_DATA},
	    {"22P02", RC_DATA},
	    {"40001", RC_BUSY},
	    {"40P01", RC_BUSY},
	    {"55P03", RC_BUSY},
	    {"57014", RC_UNAVAILABLE},
	    {"53300", RC_UNAVAILABLE},
	    {"08006", RC_UNAVAILABLE},
	    {"42703", RC_INTERNAL},
	    {"P0001", RC_INTERNAL},
	};
	struct answer a;

	begin();
	CHECK_INT(ASK(&a, STMT0(Q_T_RAISE_MAKE)), RC_OK);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK_INT(ASK(&a, STMT(Q_T_RAISE, rows[i].state)),
		    rows[i].code);
		CHECK_STR(a.error.sqlstate, rows[i].state);
		CHECK_STR(a.error.message, "raised");
		CHECK_STR(a.error.detail, "on purpose");
	}
	CHECK_INT(db_rc_of_sqlstate(""), RC_UNAVAILABLE);
	CHECK_INT(db_rc_of_sqlstate(NULL), RC_UNAVAILABLE);
	CHECK_INT(db_rc_of_sqlstate("57P01"), RC_UNAVAILABLE);
	CHECK_INT(db_rc_of_sqlstate("57P03"), RC_UNAVAILABLE);
	end();
}

static void
much_data_both_ways(void)
{
	enum { SIZE = 5000000 };
	struct answer a;
	char *big = malloc(SIZE + 1);

	CHECK(big != NULL);
	memset(big, 'y', SIZE);
	big[SIZE] = '\0';
	begin();
	/* More than the socket takes at once, while results come back. */
	CHECK_INT(ASK(&a, STMT(Q_T_WIDE, "3000"), STMT(Q_T_ECHO, big, big),
		      STMT(Q_T_WIDE, "3000"), STMT(Q_T_ECHO, big, "b")),
	    RC_OK);
	CHECK_INT(db_nrows(a.results[0]), 3000);
	CHECK_INT(db_nrows(a.results[2]), 3000);
	CHECK_INT(strlen(db_text(a.results[2], 2999, 1)), 1000);
	CHECK_STR(text_of(&a, "a"), big);
	end();
	free(big);
}

static void
arrays_are_quoted(void)
{
	static const char *const items[] = {"plain", "", "a,b", "q\"uote",
	    "back\\slash", NULL, "NULL", "{brace}", " space ", "null",
	    "\xc3\xa4"};
	static const int64_t numbers[] = {INT64_MIN, 7};
	const size_t n = sizeof(items) / sizeof(items[0]);
	struct answer a;

	begin();
	CHECK_INT(ASK(&a, STMT(Q_T_ARRAY, db_text_array(arena, items, n))),
	    RC_OK);
	CHECK_INT(db_nrows(a.results[0]), n);
	for (size_t i = 0; i < n; i++) {
		CHECK_INT(db_bool(a.results[0], i, 1), items[i] == NULL);
		CHECK_STR(db_text(a.results[0], i, 0),
		    items[i] ? items[i] : "");
	}
	CHECK_STR(db_text_array(arena, NULL, 0), "{}");
	CHECK_INT(ASK(&a, STMT(Q_T_I64_ARRAY, db_i64_array(arena, numbers, 2))),
	    RC_OK);
	CHECK(i64_of(&a, "first") == INT64_MIN);
	CHECK_INT(i64_of(&a, "second"), 7);
	CHECK_STR(db_i64_array(arena, NULL, 0), "{}");
	end();
}

static void
sessions_have_our_settings(void)
{
	static const char *const rows[][2] = {
	    {"application_name", "test-db"}, {"statement_timeout", "20s"},
	    {"idle_in_transaction_session_timeout", "1min"},
	    {"search_path", CODE_SCHEMA ",public,pg_temp"}, {"jit", "off"},
	    {"TimeZone", "UTC"}, {"client_encoding", "UTF8"},
	    {"work_mem", "5MB"}, /* the URL's own stay */
	};
	struct db_opts o = opts_default();
	struct answer a;
	char url[512];

	(void)snprintf(url, sizeof(url), "%s&options=-c%%20work_mem%%3D5MB",
	    o.url);
	o.url = url;
	begin_with(&o);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK_INT(ASK(&a, STMT(Q_T_SETTING, rows[i][0])), RC_OK);
		CHECK_STR(text_of(&a, "value"), rows[i][1]);
	}
	end();
}

CHECK_MAIN(CHECK_ROW(one_statement_gives_its_row),
    CHECK_ROW(texts_and_nulls_arrive_as_they_are),
    CHECK_ROW(fresh_statements_keep_no_plan), CHECK_ROW(parameters_are_copied),
    CHECK_ROW(batch_is_one_transaction),
    CHECK_ROW(failure_at_commit_is_a_failure),
    CHECK_ROW(failed_prepare_is_not_remembered_as_done),
    CHECK_ROW(prepare_behind_a_failure_is_made_again),
    CHECK_ROW(plan_from_before_a_migration_is_made_anew),
    CHECK_ROW(statement_timeout_ends_the_statement_only),
    CHECK_ROW(errors_map_to_codes), CHECK_ROW(much_data_both_ways),
    CHECK_ROW(arrays_are_quoted), CHECK_ROW(sessions_have_our_settings))
