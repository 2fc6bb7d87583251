/*
 * job_fsm_diagram: prints the job state table for readers and for SQL.
 *
 *   job_fsm_diagram           a mermaid stateDiagram-v2
 *   job_fsm_diagram --values  VALUES (from, to) of the allowed changes, each
 *                             once, for a test that asks the database
 *   job_fsm_diagram --table   a markdown table of the rows with their notes
 *   job_fsm_diagram --sql     the triggers that refuse all else, for
 *                             migrations/code/98_triggers_jobs.sql
 *   job_fsm_diagram --words   the words of job_words.h, as they are passed
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/job/job_fsm.h"
#include "common/job/job_words.h"

static const char *
mermaid_name(enum job_state state)
{
	return state == JOB_NONE ? "[*]" : job_state_name(state);
}

static void
print_mermaid(const struct job_fsm_row *rows, size_t n)
{
	(void)printf("stateDiagram-v2\n");
	for (size_t i = 0; i < n; i++)
		(void)printf("    %s --> %s: %s\n", mermaid_name(rows[i].from),
		    mermaid_name(rows[i].to), job_event_name(rows[i].event));
	for (int s = 0; s < JOB_STATE_COUNT; s++) {
		if (job_state_is_final((enum job_state)s))
			(void)printf("    %s --> [*]\n",
			    job_state_name((enum job_state)s));
	}
}

static void
print_table(const struct job_fsm_row *rows, size_t n)
{
	(void)printf("| From | Event | To | Note |\n|---|---|---|---|\n");
	for (size_t i = 0; i < n; i++)
		(void)printf("| %s | `%s` | %s | %s |\n",
		    job_state_name(rows[i].from), job_event_name(rows[i].event),
		    job_state_name(rows[i].to), rows[i].note);
}

/* Whether an earlier row has the same two states. */
static bool
is_repeated(const struct job_fsm_row *rows, size_t i)
{
	for (size_t j = 0; j < i; j++) {
		if (rows[j].from == rows[i].from && rows[j].to == rows[i].to)
			return true;
	}
	return false;
}

static void
print_values(const struct job_fsm_row *rows, size_t n)
{
	const char *comma = "VALUES";

	for (size_t i = 0; i < n; i++) {
		if (is_repeated(rows, i))
			continue;
		(void)printf("%s ('%s', '%s')", comma,
		    job_state_name(rows[i].from), job_state_name(rows[i].to));
		comma = ",\n      ";
	}
	(void)printf("\n");
}

/* --- the guard --- */

static const char sql_head[] =
    "-- What becomes of a job: made by tools/job_fsm_diagram --sql from\n"
    "-- common/job/job_fsm.c; do not edit.  The conditions stand with the\n"
    "-- triggers, so that an allowed change calls no function.\n"
    "CREATE FUNCTION jobs_refuse_change() RETURNS trigger LANGUAGE plpgsql "
    "SET search_path FROM CURRENT AS $$\n"
    "BEGIN\n"
    "    RAISE EXCEPTION 'a job that is % does not become %', "
    "coalesce(OLD.status, 'none'), NEW.status\n"
    "        USING ERRCODE = 'check_violation', "
    "CONSTRAINT = 'jobs_fsm', TABLE = 'jobs', DETAIL = 'job ' || NEW.id;\n"
    "END $$;\n\n";

/* ('Pending', 'Running'): what one state may become. */
static void
print_targets(const struct job_fsm_row *rows, size_t n, enum job_state from)
{
	const char *comma = "(";

	for (size_t i = 0; i < n; i++) {
		if (rows[i].from != from || is_repeated(rows, i))
			continue;
		(void)printf("%s'%s'", comma, job_state_name(rows[i].to));
		comma = ", ";
	}
	(void)printf(")");
}

static void
print_sql(const struct job_fsm_row *rows, size_t n)
{
	(void)printf("%s", sql_head);
	(void)printf("CREATE OR REPLACE TRIGGER jobs_fsm_made BEFORE INSERT ON "
		     "jobs FOR EACH ROW\n    WHEN (NEW.status NOT IN ");
	print_targets(rows, n, JOB_NONE);
	(void)printf(
	    ")\n    EXECUTE FUNCTION jobs_refuse_change();\n"
	    "CREATE OR REPLACE TRIGGER jobs_fsm_moved BEFORE UPDATE OF "
	    "status ON jobs FOR EACH ROW\n    WHEN (NEW.status <> "
	    "OLD.status AND NOT CASE OLD.status\n");
	for (int s = JOB_NONE + 1; s < JOB_STATE_COUNT; s++) {
		if (job_state_is_final((enum job_state)s))
			continue;
		(void)printf("        WHEN '%s' THEN NEW.status IN ",
		    job_state_name((enum job_state)s));
		print_targets(rows, n, (enum job_state)s);
		(void)printf("\n");
	}
	(void)printf("        ELSE false END)\n"
		     "    EXECUTE FUNCTION jobs_refuse_change();\n");
}

int
main(int argc, char **argv)
{
	const struct job_fsm_row *rows;
	size_t n;

	rows = job_fsm_rows(&n);
	if (argc == 1) {
		print_mermaid(rows, n);
	} else if (argc == 2 && strcmp(argv[1], "--values") == 0) {
		print_values(rows, n);
	} else if (argc == 2 && strcmp(argv[1], "--table") == 0) {
		print_table(rows, n);
	} else if (argc == 2 && strcmp(argv[1], "--sql") == 0) {
		print_sql(rows, n);
	} else if (argc == 2 && strcmp(argv[1], "--words") == 0) {
		(void)printf("%s\n", JOB_WORDS_JSON);
	} else {
		(void)fprintf(stderr, "usage: job_fsm_diagram "
				      "[--values|--table|--sql|--words]\n");
		return 2;
	}
	return 0;
}
