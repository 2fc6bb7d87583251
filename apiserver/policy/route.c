#include "apiserver/policy/route.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/log/log.h"

typedef bool check_fn(const char *value);

static const struct {
	const char *name;
	check_fn *is_valid;
} kinds[] = {
    {"id", path_id_is_valid},
    {"base64", path_base64_is_valid},
    {"file", path_file_is_valid},
};

/* A row with its pattern taken apart. */
struct entry {
	const struct route *route;
	char *text; /* the segments' memory */
	size_t nsegments;
	const char *segments[PATH_SEGMENTS_MAX]; /* of parameters: the name */
	check_fn *params[PATH_SEGMENTS_MAX];     /* NULL: a literal */
	bool has_tail; /* the last takes what follows, too */
};

/* Rows by their number of segments; in a bucket those whose literal comes
 * first stand first, so the first match is the right one. */
struct bucket {
	size_t n;
	struct entry *entries;
};

struct router {
	struct bucket buckets[PATH_SEGMENTS_MAX];
	struct bucket tails; /* the longest first */
};

/* "{name:kind...}", its braces among it. */
static rc
entry_add_param(struct entry *e, char *segment, size_t len)
{
	static const char dots[] = "...}";
	size_t ndots = sizeof(dots) - 1;
	const char *kind = "id";
	char *colon;

	segment[len - 1] = '\0';
	if (len > ndots && strcmp(segment + len - ndots, "...") == 0) {
		segment[len - ndots] = '\0';
		e->has_tail = true;
	}
	colon = strchr(segment, ':');
	if (colon) {
		*colon = '\0';
		kind = colon + 1;
	}
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(kinds[i].name, kind) == 0)
			e->params[e->nsegments] = kinds[i].is_valid;
	}
	e->segments[e->nsegments] = segment + 1;
	return e->params[e->nsegments] && segment[1] ? RC_OK : RC_INVALID;
}

static rc
entry_init(struct entry *e, const struct route *route)
{
	char *rest, *segment;
	size_t nparams = 0, len;
	rc ret;

	*e = (struct entry){.route = route};
	if (route->pattern[0] != '/')
		return RC_INVALID;
	e->text = mem_strdup(route->pattern + 1);
	rest = e->text;
	while ((segment = strsep(&rest, "/"))) {
		if (e->nsegments == PATH_SEGMENTS_MAX - 1 || e->has_tail)
			return RC_INVALID;
		e->segments[e->nsegments] = segment;
		len = strlen(segment);
		if (len > 2 && segment[0] == '{' && segment[len - 1] == '}') {
			ret = entry_add_param(e, segment, len);
			if (ret != RC_OK || ++nparams > ROUTE_PARAMS_MAX)
				return RC_INVALID;
		}
		e->nsegments++;
	}
	return RC_OK;
}

/* By pattern, the longest first, literals before parameters; names of
 * parameters do not count. */
static int
compare_patterns(const struct entry *a, const struct entry *b)
{
	int diff;

	if (a->nsegments != b->nsegments)
		return a->nsegments < b->nsegments ? 1 : -1;
	for (size_t i = 0; i < a->nsegments; i++) {
		if (!a->params[i] != !b->params[i])
			return a->params[i] ? 1 : -1;
		if (a->params[i])
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
	b = e.has_tail ? &r->tails : &r->buckets[e.nsegments];
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
	for (size_t i = 0; i < PATH_SEGMENTS_MAX && ret == RC_OK; i++)
		ret = sort_bucket(&r->buckets[i]);
	if (ret == RC_OK)
		ret = sort_bucket(&r->tails);
	if (ret != RC_OK) {
		router_free(r);
		return ret;
	}
	*out = r;
	return RC_OK;
}

static void
free_bucket(struct bucket *b)
{
	for (size_t i = 0; i < b->n; i++)
		free(b->entries[i].text);
	free(b->entries);
}

void
router_free(struct router *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < PATH_SEGMENTS_MAX; i++)
		free_bucket(&r->buckets[i]);
	free_bucket(&r->tails);
	free(r);
}

static bool
matches(const struct entry *e, const struct path *p)
{
	/* From the end: what routes have in common stands in front. */
	for (size_t i = e->nsegments; i-- > 0;) {
		if (e->params[i] ? p->segments[i][0] == '\0'
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

static void
take(const struct entry *e, struct path *p, struct route_match *out)
{
	if (e->has_tail)
		path_join(p, e->nsegments - 1);
	out->route = e->route;
	out->nparams = 0;
	for (size_t i = 0; i < e->nsegments; i++) {
		if (e->params[i])
			out->params[out->nparams++] =
			    (struct route_param){e->segments[i], p->segments[i],
				e->params[i]};
	}
}

/* The row of a bucket that p and the method meet; NULL: none, and the methods
 * that would do are added to allow. */
static const struct entry *
find(const struct bucket *b, const char *method, const struct path *p,
    char allow[ROUTE_ALLOW_MAX])
{
	const struct entry *e;

	for (size_t i = 0; i < b->n; i++) {
		e = &b->entries[i];
		if (e->nsegments > p->nsegments || !matches(e, p))
			continue;
		if (strcmp(e->route->method, method) == 0)
			return e;
		allow_add(allow, e->route->method);
	}
	return NULL;
}

rc
router_match(const struct router *r, const char *method, struct path *p,
    struct route_match *out)
{
	const struct entry *e = NULL;

	out->allow[0] = '\0';
	if (p->nsegments < PATH_SEGMENTS_MAX)
		e = find(&r->buckets[p->nsegments], method, p, out->allow);
	if (!e)
		e = find(&r->tails, method, p, out->allow);
	if (!e)
		return out->allow[0] ? RC_METHOD : RC_NOT_FOUND;
	take(e, p, out);
	return RC_OK;
}
