#include "apiserver/policy/route.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/log/log.h"

/* A row with its pattern taken apart. */
struct entry {
	const struct route *route;
	char *text; /* the segments' memory */
	size_t nsegments;
	const char *segments[PATH_SEGMENTS_MAX]; /* without the braces */
	bool is_param[PATH_SEGMENTS_MAX];
};

/* Rows by their number of segments; in a bucket those whose literal comes
 * first stand first, so the first match is the right one. */
struct bucket {
	size_t n;
	struct entry *entries;
};

struct router {
	struct bucket buckets[PATH_SEGMENTS_MAX + 1];
};

static rc
entry_init(struct entry *e, const struct route *route)
{
	char *rest, *segment;
	size_t nparams = 0, len;

	*e = (struct entry){.route = route};
	if (route->pattern[0] != '/')
		return RC_INVALID;
	e->text = mem_strdup(route->pattern + 1);
	rest = e->text;
	while ((segment = strsep(&rest, "/"))) {
		if (e->nsegments == PATH_SEGMENTS_MAX)
			return RC_INVALID;
		len = strlen(segment);
		if (len > 2 && segment[0] == '{' && segment[len - 1] == '}') {
			segment[len - 1] = '\0';
			segment++;
			e->is_param[e->nsegments] = true;
			if (++nparams > ROUTE_PARAMS_MAX)
				return RC_INVALID;
		}
		e->segments[e->nsegments++] = segment;
	}
	return RC_OK;
}

/* By pattern, literals before parameters; names of parameters do not count. */
static int
compare_patterns(const struct entry *a, const struct entry *b)
{
	int diff;

	for (size_t i = 0; i < a->nsegments; i++) {
		if (a->is_param[i] != b->is_param[i])
			return a->is_param[i] ? 1 : -1;
		if (a->is_param[i])
			continue;
		diff = strcmp(a->segments[i], b->segments[i]);
		if (diff != 0)
			return diff;
	}
	return 0;
}

static int
compare_entries(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;
	int diff = compare_patterns(a, b);

	return diff != 0 ? diff : strcmp(a->route->method, b->route->method);
}

static rc
add_row(struct router *r, const struct route *route)
{
	struct bucket *b;
	struct entry e;
	rc ret = entry_init(&e, route);

	if (ret != RC_OK || !route->start ||
	    (route->access == ROUTE_PERMISSION && !route->permission)) {
		log_error("ROUTE-INVALID", "%s %s cannot be served",
		    route->method, route->pattern);
		free(e.text);
		return RC_INVALID;
	}
	b = &r->buckets[e.nsegments];
	b->entries = mem_realloc(b->entries, b->n + 1, sizeof(e));
	b->entries[b->n++] = e;
	return RC_OK;
}

static rc
sort_bucket(struct bucket *b)
{
	const struct entry *e = b->entries;

	if (b->n == 0)
		return RC_OK;
	qsort(b->entries, b->n, sizeof(*b->entries), compare_entries);
	for (size_t i = 1; i < b->n; i++) {
		if (compare_entries(&e[i - 1], &e[i]) == 0) {
			log_error("ROUTE-TWICE", "%s %s is there twice",
			    e[i].route->method, e[i].route->pattern);
			return RC_CONFLICT;
		}
	}
	return RC_OK;
}

rc
router_new(const struct route_area *const *areas, size_t n, struct router **out)
{
	struct router *r = mem_zalloc(sizeof(*r));
	rc ret = RC_OK;

	for (size_t i = 0; i < n && ret == RC_OK; i++) {
		for (size_t j = 0; j < areas[i]->n && ret == RC_OK; j++)
			ret = add_row(r, &areas[i]->routes[j]);
	}
	for (size_t i = 0; i <= PATH_SEGMENTS_MAX && ret == RC_OK; i++)
		ret = sort_bucket(&r->buckets[i]);
	if (ret != RC_OK) {
		router_free(r);
		return ret;
	}
	*out = r;
	return RC_OK;
}

void
router_free(struct router *r)
{
	if (!r)
		return;
	for (size_t i = 0; i <= PATH_SEGMENTS_MAX; i++) {
		for (size_t j = 0; j < r->buckets[i].n; j++)
			free(r->buckets[i].entries[j].text);
		free(r->buckets[i].entries);
	}
	free(r);
}

static bool
matches(const struct entry *e, const struct path *p)
{
	/* From the end: what routes have in common stands in front. */
	for (size_t i = e->nsegments; i-- > 0;) {
		if (e->is_param[i]
			? p->segments[i][0] == '\0'
			: strcmp(e->segments[i], p->segments[i]) != 0)
			return false;
	}
	return true;
}

static void
allow_add(char allow[ROUTE_ALLOW_MAX], const char *method)
{
	size_t at = strlen(allow), len = strlen(method);

	if (strstr(allow, method) || at + len + 3 > ROUTE_ALLOW_MAX)
		return;
	if (at > 0) {
		allow[at++] = ',';
		allow[at++] = ' ';
	}
	memcpy(allow + at, method, len + 1);
}

rc
router_match(const struct router *r, const char *method, const struct path *p,
    struct route_match *out)
{
	const struct bucket *b = &r->buckets[p->nsegments];
	const struct entry *e;

	out->allow[0] = '\0';
	for (size_t i = 0; i < b->n; i++) {
		e = &b->entries[i];
		if (!matches(e, p))
			continue;
		if (strcmp(e->route->method, method) != 0) {
			allow_add(out->allow, e->route->method);
			continue;
		}
		out->route = e->route;
		out->nparams = 0;
		for (size_t k = 0; k < e->nsegments; k++) {
			if (e->is_param[k])
				out->params[out->nparams++] =
				    (struct path_pair){e->segments[k],
					p->segments[k]};
		}
		return RC_OK;
	}
	return out->allow[0] ? RC_METHOD : RC_NOT_FOUND;
}
