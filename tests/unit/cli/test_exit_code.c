/*
 * test_exit_code: each of the seven exit codes, by the statuses that lead to
 * it.
 */
#include "cli/exit_code.h"

#include "tests/unit/check.h"

static void
each_status_has_its_exit_code(void)
{
	static const struct {
		int status, exit_code;
	} all[] = {
	    {200, EXIT_DONE},
	    {201, EXIT_DONE},
	    {202, EXIT_DONE},
	    {204, EXIT_DONE},
	    {301, EXIT_FAILED},
	    {400, EXIT_FAILED},
	    {413, EXIT_FAILED},
	    {422, EXIT_FAILED},
	    {429, EXIT_FAILED},
	    {500, EXIT_FAILED},
	    {999, EXIT_FAILED},
	    {401, EXIT_NOT_ALLOWED},
	    {403, EXIT_NOT_ALLOWED},
	    {404, EXIT_NOT_FOUND},
	    {410, EXIT_NOT_FOUND},
	    {409, EXIT_CONFLICT},
	    {412, EXIT_CONFLICT},
	    {0, EXIT_UNREACHABLE},
	    {408, EXIT_UNREACHABLE},
	    {502, EXIT_UNREACHABLE},
	    {503, EXIT_UNREACHABLE},
	    {504, EXIT_UNREACHABLE},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		CHECK_INT(exit_code_of_status(all[i].status), all[i].exit_code);
}

/* Scripts have them in their text. */
static void
their_numbers_stay(void)
{
	CHECK_INT(EXIT_DONE, 0);
	CHECK_INT(EXIT_FAILED, 1);
	CHECK_INT(EXIT_USAGE, 2);
	CHECK_INT(EXIT_NOT_FOUND, 3);
	CHECK_INT(EXIT_NOT_ALLOWED, 4);
	CHECK_INT(EXIT_CONFLICT, 5);
	CHECK_INT(EXIT_UNREACHABLE, 6);
}

CHECK_MAIN(CHECK_ROW(each_status_has_its_exit_code),
    CHECK_ROW(their_numbers_stay))
