#include <string.h>

#include "common/base/attr.h"
#include "common/db/db_int.h"

static const struct {
	const char *prefix; /* the first match counts */
	rc code;
} sqlstate_table[] = {
    {"00", RC_OK}, {"23505", RC_CONFLICT}, /* unique_violation */
    {"23503", RC_INVALID},                 /* foreign_key_violation */
    {"22", RC_DATA},                       /* data exception */
    {"23", RC_DATA},                       /* integrity constraint */
    {"40", RC_BUSY},                       /* serialization, deadlock */
    {"55P03", RC_BUSY},                    /* lock_not_available */
    {"08", RC_UNAVAILABLE},                /* connection */
    {"25006", RC_UNAVAILABLE},             /* read-only: a standby answers */
    {"25P03", RC_UNAVAILABLE},             /* idle in transaction: cut off */
    {"53", RC_UNAVAILABLE},                /* out of memory, disk, slots */
    {"57", RC_UNAVAILABLE},                /* cancelled, shutting down */
};

rc
db_rc_of_sqlstate(const char *sqlstate)
{
	/* The server did not speak. */
	if (!sqlstate || sqlstate[0] == '\0')
		return RC_UNAVAILABLE;
	for (size_t i = 0; i < ARRAY_LEN(sqlstate_table); i++) {
		const char *prefix = sqlstate_table[i].prefix;

		if (strncmp(sqlstate, prefix, strlen(prefix)) == 0)
			return sqlstate_table[i].code;
	}
	return RC_INTERNAL;
}

/* 58P01 also tells of a table's file that is gone, which is worse. */
bool
db_is_files_replaced(const char *sqlstate, const char *message)
{
	static const char table[] = "could not open file";
	static const char library[] = "could not load library";

	if (message && strncmp(message, library, strlen(library)) == 0)
		return true;
	return sqlstate && strcmp(sqlstate, "58P01") == 0 && message &&
	       strncmp(message, table, strlen(table)) != 0;
}
