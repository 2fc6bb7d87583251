/*
 * job_fsm_diagram: prints the job state table for readers and for SQL.
 *
 *   job_fsm_diagram           a mermaid stateDiagram-v2
 *   job_fsm_diagram --values  VALUES (from, to) of the allowed changes, each
 *                             once, for a test that asks the database
 *   job_fsm_diagram --table   a markdown table of the rows with their notes
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/job/job_fsm.h"

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
	} else {
		(void)fprintf(stderr,
		    "usage: job_fsm_diagram [--values|--table]\n");
		return 2;
	}
	return 0;
}
