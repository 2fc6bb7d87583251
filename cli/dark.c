#include "cli/dark.h"

#include "cli/out.h"

void
dark_begin(struct cli *c, struct dark *d, const char *unknown,
    const struct answer *a)
{
	if (!d->is_told)
		out_tell("%s: %s; looking again", unknown, client_why(c, a));
	d->is_told = true;
}

void
dark_end(struct dark *d)
{
	if (d->is_told)
		out_tell("it answers again");
	d->is_told = false;
}
