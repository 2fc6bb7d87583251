/*
 * A server whose disk is full: what it refused for want of room is remembered
 * for some seconds, for it goes on reading, and even writing where a page has
 * room, so that no single answer tells how it is.
 */
#include <string.h>

#include "common/db/db_int.h"
#include "common/log/log.h"

#define DISK_FULL "53100"

enum { ROOM_MS = 6000 };

bool
db_room_is_short(const struct db_pool *p)
{
	return p->full_ms != 0 && loop_now_ms(p->loop) - p->full_ms < ROOM_MS;
}

void
db_room_heed(struct db_pool *p, const struct db_req *r)
{
	if (r->error && strcmp(r->error->sqlstate, DISK_FULL) == 0) {
		if (p->full_ms == 0)
			log_error("DB-FULL",
			    "the database's disk is full: %s; what needs more "
			    "room fails until there is some",
			    r->error->message);
		p->full_ms = loop_now_ms(p->loop);
	} else if (!r->error && p->full_ms != 0 && !db_room_is_short(p)) {
		log_info("DB-FULL", "the database has room again");
		p->full_ms = 0;
	}
}
