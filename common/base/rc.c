#include "common/base/rc.h"

#include <stddef.h>

#include "common/base/attr.h"

struct rc_row {
	const char *name;
	int http;
	bool retryable;
};

#define RC_ROW(code, name, http, retry) [code] = {name, http, retry},
static const struct rc_row rc_rows[RC_COUNT] = {RC_TABLE(RC_ROW)};
#undef RC_ROW

/* A code outside the enum is our bug, but this runs while errors are being
 * reported, so it answers as RC_INTERNAL instead of aborting. */
static const struct rc_row *
rc_row(rc code)
{
	size_t i = (size_t)code;

	if (i >= ARRAY_LEN(rc_rows))
		i = RC_INTERNAL;
	return &rc_rows[i];
}

const char *
rc_name(rc code)
{
	return rc_row(code)->name;
}

int
rc_http_status(rc code)
{
	return rc_row(code)->http;
}

rc
rc_first(rc a, rc b)
{
	return a != RC_OK ? a : b;
}

bool
rc_is_retryable(rc code)
{
	return rc_row(code)->retryable;
}
