/*
 * policy_sql: prints the functions that common/policy/policy.def makes, for the
 * build, which names the code schema after them too, and for readers.
 */
#include <stdio.h>

#include "common/policy/policy_sql.h"

int
main(void)
{
	policy_sql(stdout);
	return fflush(stdout) == 0 ? 0 : 1;
}
