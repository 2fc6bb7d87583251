#include "common/bus/origin.h"

#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

enum { SYSTEM_MAX = 24 };

void
origin_write(struct json_w *w, const struct db_home *home)
{
	const char *system;
	int timeline;

	if (!home || !db_home_where(home, &system, &timeline))
		return;
	json_w_kv(w, "system", system);
	json_w_kv_int(w, "timeline", timeline);
}

bool
origin_is_ours(struct db_home *home, const struct cJSON *body, const char *peer,
    char why[ORIGIN_WHY_MAX])
{
	const char *ours, *theirs;
	int64_t timeline;
	int at;

	if (!home || !db_home_where(home, &ours, &at) ||
	    json_str(body, "system", SYSTEM_MAX, &theirs) != RC_OK ||
	    json_int(body, "timeline", 1, INT32_MAX, &timeline) != RC_OK)
		return true;
	if (strcmp(ours, theirs) == 0 && timeline == at)
		return true;
	(void)snprintf(why, ORIGIN_WHY_MAX,
	    "%s is with another database server, system %s, timeline %d; this "
	    "process is with %s",
	    peer, theirs, (int)timeline, db_home_text(home));
	if (strcmp(ours, theirs) == 0)
		db_home_seek(home, (int)timeline);
	return false;
}
