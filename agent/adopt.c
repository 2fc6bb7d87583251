/*
 * The configured paths of an install: taken over as links, given back.
 */
#include <unistd.h>

#include "agent/files.h"
#include "agent/install_int.h"
#include "agent/safedir.h"
#include "agent/spot.h"
#include "agent/standing.h"
#include "common/base/fault.h"

static rc
link_paths(struct arena *a, const struct spots *s, const char **out_why)
{
	rc ret = RC_OK;

	for (size_t i = 0; ret == RC_OK && i < s->n; i++) {
		ret = spot_take(&s->all[i]);
		if (ret != RC_OK)
			ret = install_fail(a, out_why, "cannot link",
			    s->all[i].path);
		fault_point("agent.install.linked");
	}
	return ret;
}

/* The version "adopted", if there is one that no path leads to. */
static rc
remove_adopted(struct arena *a, const struct install_paths *p,
    const char **out_why)
{
	int fd;
	rc ret;

	ret = install_open_versions(a, p, &fd, out_why);
	if (ret != RC_OK)
		return ret == RC_NOT_FOUND ? RC_OK : ret;
	ret = install_remove_version(fd, ADOPTED);
	if (ret != RC_OK)
		ret = install_fail(a, out_why, "cannot remove v/" ADOPTED " in",
		    p->dir);
	close(fd);
	return ret;
}

static rc
copy_pair(struct arena *a, const struct install_paths *p,
    const struct pair *pair, const char **out_why)
{
	rc ret;

	ret = remove_adopted(a, p, out_why);
	if (ret == RC_OK)
		ret = install_write_version(a, p, ADOPTED, pair, out_why);
	fault_point("agent.install.copied");
	if (ret == RC_OK)
		ret = install_point(a, p, "v/" ADOPTED, out_why);
	return ret;
}

rc
install_check(struct arena *a, const struct install_paths *p,
    const char **out_why)
{
	struct standing t;
	struct spots s;
	rc ret;

	ret = spots_open(a, p, &s, out_why);
	if (ret != RC_OK)
		return ret;
	ret = standing_read(a, p, &s, &t, out_why);
	if (ret == RC_OK)
		standing_wipe(&t);
	spots_close(&s);
	return ret;
}

rc
install_adopt(struct arena *a, const struct install_paths *p,
    const char **out_why)
{
	struct standing t;
	struct spots s;
	rc ret;

	ret = spots_open(a, p, &s, out_why);
	if (ret != RC_OK)
		return ret;
	ret = standing_read(a, p, &s, &t, out_why);
	if (ret == RC_OK && t.is_pair)
		ret = copy_pair(a, p, &t.pair, out_why);
	/* Both must be links before current moves, or the next version would
	 * be seen with the old key. */
	if (ret == RC_OK && !p->is_direct && (t.is_pair || t.current[0]))
		ret = link_paths(a, &s, out_why);
	standing_wipe(&t);
	spots_close(&s);
	return ret;
}

rc
install_switch(struct arena *a, const struct install_paths *p,
    const char *target, const char **out_why)
{
	struct spots s;
	rc ret;

	ret = spots_open(a, p, &s, out_why);
	if (ret != RC_OK)
		return ret;
	ret = install_check_whole(a, p, target, out_why);
	if (ret == RC_OK)
		ret = install_point(a, p, target, out_why);
	if (ret == RC_OK)
		ret = link_paths(a, &s, out_why);
	spots_close(&s);
	return ret;
}

/* No path leads here any more: as if it had never been. */
static rc
forget_current(struct arena *a, const struct install_paths *p,
    const char **out_why)
{
	int fd;
	rc ret;

	ret = install_open(a, p, &fd, out_why);
	if (ret == RC_NOT_FOUND)
		return RC_OK;
	if (ret != RC_OK)
		return ret;
	ret = files_remove(fd, "current");
	if (ret != RC_OK)
		ret = install_fail(a, out_why, "cannot remove current in",
		    p->dir);
	close(fd);
	return ret == RC_OK ? remove_adopted(a, p, out_why) : ret;
}

/* *out: whether a path still does. */
static rc
lead_here(const struct spots *s, bool *out)
{
	enum stands stands;
	rc ret = RC_OK;

	*out = false;
	for (size_t i = 0; ret == RC_OK && i < s->n; i++) {
		ret = spot_look(&s->all[i], &stands);
		*out = *out || (ret == RC_OK && stands == STANDS_OURS);
	}
	return ret;
}

static rc
give_back(struct arena *a, const struct spots *s, bool is_first,
    const char **out_why)
{
	rc ret = RC_OK;

	for (size_t i = s->n; ret == RC_OK && i-- > 0;) {
		ret = spot_give_back(&s->all[i], is_first);
		if (ret != RC_OK)
			ret = install_fail(a, out_why, "cannot give back",
			    s->all[i].path);
		fault_point("agent.install.given_back");
	}
	return ret;
}

rc
install_back(struct arena *a, const struct install_paths *p,
    const char *previous, const char **out_why)
{
	bool is_first = previous[0] == '\0', is_led_here = false;
	struct spots s;
	rc ret;

	ret = spots_open(a, p, &s, out_why);
	if (ret == RC_NOT_FOUND && is_first)
		return RC_OK; /* nothing can have been put there */
	if (ret != RC_OK)
		return ret;
	if (!is_first)
		ret = install_point(a, p, previous, out_why);
	if (ret == RC_OK)
		ret = give_back(a, &s, is_first, out_why);
	if (ret == RC_OK && lead_here(&s, &is_led_here) != RC_OK)
		ret = install_fail(a, out_why, "cannot look at the files in",
		    p->dir);
	if (ret == RC_OK && !is_led_here &&
	    (is_first || install_is_adopted(previous)))
		ret = forget_current(a, p, out_why);
	spots_close(&s);
	return ret;
}

void
install_settle(struct arena *a, const struct install_paths *p)
{
	const char *why;
	struct spots s;

	if (spots_open(a, p, &s, &why) != RC_OK)
		return;
	for (size_t i = 0; i < s.n; i++)
		spot_settle(&s.all[i]);
	spots_close(&s);
}
