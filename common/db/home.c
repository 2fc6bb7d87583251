#include "common/db/home.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/db/db_int.h"
#include "common/log/log.h"

enum { MEMBERS_MAX = 8, SEEK_MS = 30000 };

struct db_home {
	bool is_known;
	struct db_seen at;
	size_t first_host;
	char text[512];
	int sought;      /* the latest timeline heard of; 0: none */
	int64_t told_ms; /* when last */
	bool is_vain;    /* and that was told */
	size_t nmembers;
	struct {
		db_home_leave_fn *leave;
		void *arg;
	} members[MEMBERS_MAX];
};

struct db_home *
db_home_new(void)
{
	return mem_zalloc(sizeof(struct db_home));
}

void
db_home_free(struct db_home *h)
{
	free(h);
}

void
db_home_identity(const struct db_home *h, char *text, size_t size)
{
	(void)snprintf(text, size, ", system %s, timeline %d", h->at.system,
	    h->at.timeline);
}

const char *
db_home_text(const struct db_home *h)
{
	return h->text;
}

bool
db_home_where(const struct db_home *h, const char **out_system,
    int *out_timeline)
{
	*out_system = h->at.system;
	*out_timeline = h->at.timeline;
	return h->is_known;
}

void
db_home_join(struct db_home *h, db_home_leave_fn *leave, void *arg)
{
	if (h->nmembers >= MEMBERS_MAX)
		log_fatal("DB-HOME", "too many pools");
	h->members[h->nmembers].leave = leave;
	h->members[h->nmembers++].arg = arg;
}

void
db_home_part(struct db_home *h, const void *arg)
{
	for (size_t i = 0; i < h->nmembers; i++) {
		if (h->members[i].arg == arg) {
			h->members[i] = h->members[--h->nmembers];
			return;
		}
	}
}

size_t *
db_home_first_host(struct db_home *h)
{
	return &h->first_host;
}

/* '{1,2,7}' has it. */
static bool
is_listed(const char *array, int timeline)
{
	for (const char *p = array; *p; p += strcspn(p, ",}")) {
		p++; /* brace or comma */
		if (strtol(p, NULL, 10) == timeline && *p)
			return true;
	}
	return false;
}

/* Who said that there is something later did so just now. */
static bool
is_sought(const struct db_home *h)
{
	return h->sought != 0 && clock_boot_ms() - h->told_ms < SEEK_MS;
}

/* Why not to go there; NULL: all right. */
static const char *
objection(const struct db_home *h, const struct db_seen *s)
{
	const struct db_seen *at = &h->at;

	if (strcmp(s->system, at->system) != 0)
		return "it is another database";
	if (s->timeline < at->timeline)
		return "it is an old primary";
	if (s->timeline > at->timeline && !is_listed(s->known, at->timeline))
		return "it was promoted from another past";
	if (s->timeline < h->sought && is_sought(h))
		return "others are on a later timeline already";
	if (s->timeline == at->timeline && s->lsn < at->lsn &&
	    strcmp(s->started, at->started) != 0)
		return "it lacks what was written";
	return NULL;
}

/* Whether those who are where the process is may stay. */
static bool
is_same_instance(const struct db_home *h, const struct db_seen *s)
{
	return s->timeline == h->at.timeline &&
	       strcmp(s->started, h->at.started) == 0;
}

static void
leave_all(struct db_home *h)
{
	for (size_t i = 0; i < h->nmembers; i++)
		h->members[i].leave(h->members[i].arg);
}

void
db_home_seek(struct db_home *h, int timeline)
{
	bool is_news = !is_sought(h) || timeline > h->sought;

	if (!h->is_known || timeline <= h->at.timeline)
		return;
	h->told_ms = clock_boot_ms();
	if (!is_news)
		return;
	h->sought = timeline;
	h->is_vain = false;
	log_warn("DB-SEEK",
	    "another process is on timeline %d already; leaving %s to look "
	    "for that server, and writing nothing before it is found or "
	    "nobody is there any more",
	    timeline, h->text);
	leave_all(h);
}

/* Sought is what nobody of those we can reach is. */
static void
tell_vain(struct db_home *h, const struct db_seen *s)
{
	if (s->timeline < h->sought && !h->is_vain)
		log_error("DB-SEEK",
		    "no server on timeline %d was found, and nobody is there "
		    "any "
		    "more; going on with %s, where what is written may be lost",
		    h->sought, h->text);
	h->is_vain = s->timeline < h->sought;
}

static void
move_to(struct db_home *h, const struct db_seen *s)
{
	if (h->is_known && s->timeline != h->at.timeline)
		log_warn("DB-PROMOTED",
		    "%s is on timeline %d now; every session leaves %s",
		    s->host, s->timeline, h->text);
	/* Before the first session there is used: never two at a time. */
	leave_all(h);
	h->at = *s;
	h->is_known = true;
	(void)snprintf(h->text, sizeof(h->text), "%s, system %s, timeline %d",
	    s->host, s->system, s->timeline);
}

bool
db_home_admits(struct db_home *h, const struct db_seen *s, char *why,
    size_t size)
{
	const char *not = h->is_known ? objection(h, s) : NULL;

	if (not ) {
		(void)snprintf(why, size,
		    "%s: system %s, timeline %d, while this process is with "
		    "%s; see that the other takes no writes, or restart this "
		    "process if it is the right one",
		    not, s->system, s->timeline, h->text);
		return false;
	}
	if (!h->is_known || !is_same_instance(h, s))
		move_to(h, s);
	else if (s->lsn > h->at.lsn)
		h->at.lsn = s->lsn;
	tell_vain(h, s);
	return true;
}
