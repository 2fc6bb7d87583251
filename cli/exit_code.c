#include "cli/exit_code.h"

int
exit_code_of_status(int status)
{
	static const struct {
		int status;
		enum exit_code code;
	} all[] = {
	    {0, EXIT_UNREACHABLE},   /* no answer, or not in time */
	    {401, EXIT_NOT_ALLOWED}, /* no key, or none that is valid */
	    {403, EXIT_NOT_ALLOWED}, /* a key without the right */
	    {404, EXIT_NOT_FOUND},
	    {408, EXIT_UNREACHABLE}, /* a proxy that waited for us */
	    {409, EXIT_CONFLICT}, {410, EXIT_NOT_FOUND}, /* it was there */
	    {412, EXIT_CONFLICT},    /* it has changed meanwhile */
	    {502, EXIT_UNREACHABLE}, /* a proxy found no server */
	    {503, EXIT_UNREACHABLE}, /* not ready */
	    {504, EXIT_UNREACHABLE}, /* a proxy's patience is over */
	};

	if (status >= 200 && status < 300)
		return EXIT_DONE;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i].status == status)
			return all[i].code;
	}
	return EXIT_FAILED;
}
