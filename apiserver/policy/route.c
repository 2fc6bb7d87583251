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
	const char *schema; /* JSON Schema of what is_valid takes, or of more */
} kinds[] = {
    {"id", path_id_is_valid,
	"{\"type\":\"string\",\"minLength\":1,\"maxLength\":128,"
	"\"pattern\":\"^[A-Za-z0-9._:][A-Za-z0-9._:-]*$\"}"},
    {"base64", path_base64_is_valid,
	"{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9+/]+=*$\"}"},
    {"ocsp", path_ocsp_is_valid,
	"{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9+/]+=*$\"}"},
    {"certid", path_certid_is_valid,
	"{\"type\":\"string\",\"maxLength\":128,"
	"\"pattern\":\"^[A-Za-z0-9_-]+[.][A-Za-z0-9_-]+$\"}"},
    {"file", path_file_is_valid,
	"{\"type\":\"string\",\"maxLength\":255,"
	"\"pattern\":\"^[A-Za-z0-9_-][A-Za-z0-9._/-]*$\"}"},
};

const char *
route_kind_schema(const char *kind)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(kinds[i].name, kind) == 0)
			return kinds[i].schema;
	}
	return NULL;
}

/* A row with its pattern taken apart. */
struct entry {
	const struct route *route;
	size_t number;
	struct route_rules rules; /* with its area's */
	const struct shape *shape;
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
	size_t nroutes;
	size_t nareas;
	const struct route_area *const *areas;
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

struct route_rules
route_resolve(const struct route_area *area, const struct route *route)
{
	struct route_rules all = rules_of(&area->rules, &route->own);

	if (!route->own.body && strcmp(route->method, "GET") == 0)
		all.body = ROUTE_NO_BODY;
	return all;
}

bool
route_has_head(const struct route *route, const struct route_rules *rules)
{
	return rules->head == ROUTE_HEAD && strcmp(route->method, "GET") == 0;
}

static bool
has_param(const struct entry *e, const char *name)
{
	for (size_t i = 0; i < e->nsegments; i++) {
		if (e->params[i] && strcmp(e->segments[i], name) == 0)
			return true;
	}
	return false;
}

/* Why a row may not be served; NULL: it may. */
static const char *
fault_of(const struct route_area *area, const struct entry *e)
{
	const struct route *route = e->route;
	enum route_access access = e->rules.access;
	bool needs_permission =
	    access != ROUTE_PUBLIC && access != ROUTE_SIGNED_IN;

	if (strncmp(route->pattern, area->prefix, strlen(area->prefix)) != 0)
		return "it is not below its area's prefix";
	if (!route->start)
		return "nothing starts";
	if (needs_permission != (route->permission != NULL))
		return "its permission and who may ask do not agree";
	if (route->also && !route->permission)
		return "it asks for a second permission and no first";
	if (!has_param(e, "id") &&
	    (access == ROUTE_AGENT || route->scope != ROUTE_GLOBAL))
		return "it has no {id} to ask about";
	if (strcmp(route->method, "GET") != 0 && !route->audit)
		return "it does not say what it leaves in the audit trail";
	return NULL;
}

static rc
add_row(struct router *r, const struct route_area *area,
    const struct route *route)
{
	const char *fault = "its pattern cannot be used";
	struct bucket *b;
	struct entry e;
	rc ret = entry_init(&e, route);

	e.rules = route_resolve(area, route);
	if (ret == RC_OK)
		fault = fault_of(area, &e);
	if (fault) {
		log_error("ROUTE-INVALID", "%s %s: %s", route->method,
		    route->pattern, fault);
		free(e.text);
		return RC_INVALID;
	}
	b = e.has_tail ? &r->tails : &r->buckets[e.nsegments];
	b->entries = mem_realloc(b->entries, b->n + 1, sizeof(e));
	e.number = ++r->nroutes;
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

/* number: the areas before it are good. */
static rc
add_area(struct router *r, const struct route_area *const *areas, size_t number)
{
	const struct route_area *area = areas[number];
	size_t len = strlen(area->prefix);
	rc ret = RC_OK;

	if (!rules_are_whole(&area->rules) || area->prefix[0] != '/' ||
	    area->prefix[len - 1] != '/') {
		log_error("ROUTE-AREA", "%s does not say all of its rules",
		    area->name);
		return RC_INVALID;
	}
	for (size_t i = 0; i < number; i++) {
		if (strcmp(areas[i]->prefix, area->prefix) == 0 &&
		    !rules_are_equal(&areas[i]->rules, &area->rules)) {
			log_error("ROUTE-AREA", "%s and %s share %s and differ",
			    areas[i]->name, area->name, area->prefix);
			return RC_CONFLICT;
		}
	}
	for (size_t j = 0; j < area->n && ret == RC_OK; j++)
		ret = add_row(r, area, &area->routes[j]);
	return ret;
}

rc
router_new(const struct route_area *const *areas, size_t n, struct router **out)
{
	struct router *r = mem_zalloc(sizeof(*r));
	rc ret = RC_OK;

	r->areas = areas;
	r->nareas = n;
	for (size_t i = 0; i < n && ret == RC_OK; i++)
		ret = add_area(r, areas, i);
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

/* How many rows of the bucket start so. */
static size_t
describe(struct bucket *b, const struct shape_row *row)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		if (b->entries[i].route->start != row->start)
			continue;
		b->entries[i].shape = row->shape;
		n++;
	}
	return n;
}

rc
router_describe(struct router *r, const struct shape_row *shapes, size_t n)
{
	size_t found;

	for (size_t i = 0; i < n; i++) {
		found = describe(&r->tails, &shapes[i]);
		for (size_t j = 0; j < PATH_SEGMENTS_MAX; j++)
			found += describe(&r->buckets[j], &shapes[i]);
		if (found > 0)
			continue;
		log_error("ROUTE-SHAPE", "the shape %s is of no route",
		    shapes[i].name);
		return RC_INVALID;
	}
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

size_t
router_size(const struct router *r)
{
	return r->nroutes;
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
	out->number = e->number;
	out->rules = &e->rules;
	out->shape = e->shape;
	out->nparams = 0;
	for (size_t i = 0; i < e->nsegments; i++) {
		if (e->params[i])
			out->params[out->nparams++] =
			    (struct route_param){e->segments[i], p->segments[i],
				e->params[i]};
	}
}

/* The row of a bucket that p and the method meet; NULL: none, the methods that
 * would do are added to out->allow, and the first of those rows rules. */
static const struct entry *
find(const struct bucket *b, const char *method, const struct path *p,
    struct route_match *out)
{
	const struct entry *e;

	for (size_t i = 0; i < b->n; i++) {
		e = &b->entries[i];
		if (e->nsegments > p->nsegments || !matches(e, p))
			continue;
		if (strcmp(e->route->method, method) == 0 ||
		    (strcmp(method, "HEAD") == 0 &&
			route_has_head(e->route, &e->rules)))
			return e;
		allow_add(out->allow, e->route->method);
		if (route_has_head(e->route, &e->rules))
			allow_add(out->allow, "HEAD");
		if (!out->rules)
			out->rules = &e->rules;
	}
	return NULL;
}

/* Whether the path goes on behind this prefix. */
static bool
is_below(const char *prefix, const struct path *p)
{
	size_t len;

	for (size_t i = 0; i < p->nsegments; i++) {
		prefix++; /* the slash */
		if (!*prefix)
			return true;
		len = strcspn(prefix, "/");
		if (strlen(p->segments[i]) != len ||
		    strncmp(p->segments[i], prefix, len) != 0)
			return false;
		prefix += len;
	}
	return false;
}

/* Of the area with the longest prefix. */
static const struct route_rules *
rules_of_area(const struct router *r, const struct path *p)
{
	const struct route_area *found = NULL;

	for (size_t i = 0; i < r->nareas; i++) {
		const struct route_area *area = r->areas[i];

		if (is_below(area->prefix, p) &&
		    (!found || strlen(area->prefix) > strlen(found->prefix)))
			found = area;
	}
	return found ? &found->rules : NULL;
}

rc
router_match(const struct router *r, const char *method, struct path *p,
    struct route_match *out)
{
	const struct entry *e = NULL;

	out->allow[0] = '\0';
	out->rules = NULL;
	if (p->nsegments < PATH_SEGMENTS_MAX)
		e = find(&r->buckets[p->nsegments], method, p, out);
	if (!e)
		e = find(&r->tails, method, p, out);
	if (e) {
		take(e, p, out);
		return RC_OK;
	}
	if (out->allow[0])
		return RC_METHOD;
	out->rules = rules_of_area(r, p);
	return RC_NOT_FOUND;
}
