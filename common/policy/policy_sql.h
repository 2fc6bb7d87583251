/*
 * policy_sql: the times and counts of policy.def as functions of SQL.
 */
#ifndef COMMON_POLICY_POLICY_SQL_H
#define COMMON_POLICY_POLICY_SQL_H

#include <stdio.h>

/*
 * Prints a function policy_<name>() for each, without arguments, which the
 * planner replaces by its value.  It is the first part of the text that a
 * version's code schema is named after.
 */
void policy_sql(FILE *out);

#endif
