#include "apiserver/policy/path.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "tests/unit/check.h"

/* Parses a copy; the caller's buffer keeps it alive. */
static rc
parse(const char *target, char copy[PATH_TARGET_MAX + 2], struct path *out)
{
	(void)snprintf(copy, PATH_TARGET_MAX + 2, "%s", target);
	return path_parse(copy, out);
}

static void
test_segments(void)
{
	char copy[PATH_TARGET_MAX + 2];
	struct path p;

	CHECK_INT(parse("/api/v1/jobs/j-1", copy, &p), RC_OK);
	CHECK_INT(p.nsegments, 4);
	CHECK_STR(p.segments[0], "api");
	CHECK_STR(p.segments[3], "j-1");
	CHECK_INT(p.nquery, 0);
	/* A trailing slash is a segment more, not nothing. */
	CHECK_INT(parse("/api/", copy, &p), RC_OK);
	CHECK_INT(p.nsegments, 2);
	CHECK_STR(p.segments[1], "");
	CHECK_INT(parse("/", copy, &p), RC_OK);
	CHECK_INT(p.nsegments, 1);
	CHECK_INT(parse("/a//b", copy, &p), RC_OK);
	CHECK_INT(p.nsegments, 3);
	CHECK_STR(p.segments[1], "");
}

static void
test_escapes(void)
{
	char copy[PATH_TARGET_MAX + 2];
	struct path p;

	CHECK_INT(parse("/a%2Fb/%c3%a4+", copy, &p), RC_OK);
	CHECK_INT(p.nsegments, 2);
	CHECK_STR(p.segments[0], "a/b");
	CHECK_STR(p.segments[1], "\xc3\xa4+"); /* no blank in a path */
	CHECK_INT(parse("/a%00b", copy, &p), RC_INVALID);
	CHECK_INT(parse("/a%2", copy, &p), RC_INVALID);
	CHECK_INT(parse("/a%", copy, &p), RC_INVALID);
	CHECK_INT(parse("/a%zz", copy, &p), RC_INVALID);
	CHECK_INT(parse("/a%ff", copy, &p), RC_INVALID);
	CHECK_INT(parse("/a%c0%af", copy, &p), RC_INVALID); /* overlong */
}

static void
test_refused(void)
{
	char copy[PATH_TARGET_MAX + 2], *big;
	struct path p;

	CHECK_INT(parse("", copy, &p), RC_INVALID);
	CHECK_INT(parse("api", copy, &p), RC_INVALID);
	CHECK_INT(parse("*", copy, &p), RC_INVALID);
	CHECK_INT(parse("/a b", copy, &p), RC_INVALID);
	CHECK_INT(parse("/a#b", copy, &p), RC_INVALID);
	CHECK_INT(parse("/\xc3\xa4", copy, &p), RC_INVALID);
	CHECK_INT(parse("/a\x7f", copy, &p), RC_INVALID);
	CHECK_INT(parse("https://host/x", copy, &p), RC_INVALID);
	big = mem_zalloc(PATH_TARGET_MAX + 2);
	memset(big, '/', PATH_TARGET_MAX + 1);
	CHECK_INT(path_parse(big, &p), RC_TOO_LARGE);
	free(big);
}

static void
test_many_segments(void)
{
	char copy[PATH_TARGET_MAX + 2];
	struct path p;

	CHECK_INT(parse("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/1%36/17//", copy,
		      &p),
	    RC_OK);
	CHECK_INT(p.nsegments, PATH_SEGMENTS_MAX);
	CHECK_STR(p.segments[14], "15");
	CHECK_STR(p.segments[15], "16/17//");
	path_join(&p, 12);
	CHECK_INT(p.nsegments, 13);
	CHECK_STR(p.segments[12], "13/14/15/16/17//");
}

static void
test_kinds(void)
{
	CHECK(path_base64_is_valid("MEIwQDA+MDwwOjAJ/Q=="));
	CHECK(path_base64_is_valid("MEIwQDA"));
	CHECK(path_base64_is_valid("ab+/"));
	CHECK(!path_base64_is_valid(""));
	CHECK(!path_base64_is_valid("a"));
	CHECK(!path_base64_is_valid("abcde"));
	CHECK(!path_base64_is_valid("abc=="));
	CHECK(!path_base64_is_valid("a==="));
	CHECK(!path_base64_is_valid("ab=c"));
	CHECK(!path_base64_is_valid("ab-_"));
	CHECK(path_file_is_valid("app.js"));
	CHECK(path_file_is_valid("js/app-1_2.min.js"));
	CHECK(!path_file_is_valid(""));
	CHECK(!path_file_is_valid("."));
	CHECK(!path_file_is_valid("../x"));
	CHECK(!path_file_is_valid("a/../x"));
	CHECK(!path_file_is_valid("a/.hidden"));
	CHECK(!path_file_is_valid("a//b"));
	CHECK(!path_file_is_valid("a/"));
	CHECK(!path_file_is_valid("/a"));
	CHECK(!path_file_is_valid("a\\b"));
}

static void
test_query(void)
{
	char copy[PATH_TARGET_MAX + 2];
	struct path p;

	CHECK_INT(parse("/x?a=1&b=two+words&c=%26%3d&a=9&d&=e&f=", copy, &p),
	    RC_OK);
	CHECK_STR(path_query(&p, "a"), "1"); /* the first counts */
	CHECK_STR(path_query(&p, "b"), "two words");
	CHECK_STR(path_query(&p, "c"), "&=");
	CHECK_STR(path_query(&p, "d"), "");
	CHECK_STR(path_query(&p, "f"), "");
	CHECK(path_query(&p, "") == NULL);
	CHECK(path_query(&p, "z") == NULL);
}

/* Nothing of a query is dropped: that would widen what is asked for. */
static void
test_query_is_read_or_refused(void)
{
	static const char *const refused[] = {"status=%00", "%00=1", "q=a%00b",
	    "a=%zz", "a=%4", "a=%", "a=%ff", "a=%c3%28", "a=%ed%a0%80", "a=%0a",
	    "a=%7f", "a=%c2%85", "a=%e2%80%ae", "a=%e2%80%8b", "a=%e2%80%a8",
	    "a=%ef%bb%bf", "d=4&status=%00"};
	char copy[PATH_TARGET_MAX + 2], target[64];
	struct path p;

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		(void)snprintf(target, sizeof(target), "/x?%s", refused[i]);
		CHECK_INT(parse(target, copy, &p), RC_INVALID);
		(void)snprintf(target, sizeof(target), "/x/%s", refused[i]);
		CHECK_INT(parse(target, copy, &p), RC_INVALID);
	}
	CHECK_INT(parse("/x?q=%c3%bc%e4%b8%ad", copy, &p), RC_OK);
}

static void
test_query_is_bounded(void)
{
	char copy[PATH_TARGET_MAX + 2], many[1024] = "/x?";
	struct path p;

	for (int i = 0; i < 100; i++)
		(void)snprintf(many + strlen(many), sizeof(many) - strlen(many),
		    "q%d=1&", i);
	CHECK_INT(parse(many, copy, &p), RC_INVALID);
	*strstr(many, "&q32=") = '\0';
	CHECK_INT(parse(many, copy, &p), RC_OK);
	CHECK_INT(p.nquery, PATH_QUERY_MAX);
	CHECK(path_query(&p, "q31") != NULL);
}

static void
test_ids(void)
{
	char long_id[130];

	CHECK(path_id_is_valid("job-17-1"));
	CHECK(path_id_is_valid("A.b_c:d-1"));
	CHECK(!path_id_is_valid(""));
	CHECK(!path_id_is_valid("."));
	CHECK(!path_id_is_valid(".."));
	CHECK(!path_id_is_valid("-"));
	CHECK(!path_id_is_valid("-rf"));
	CHECK(!path_id_is_valid("--dry-run"));
	CHECK(path_id_is_valid("a-"));
	CHECK(!path_id_is_valid("a/b"));
	CHECK(!path_id_is_valid("a b"));
	CHECK(!path_id_is_valid("a'b"));
	memset(long_id, 'x', sizeof(long_id));
	long_id[128] = '\0';
	CHECK(path_id_is_valid(long_id));
	long_id[128] = 'x';
	long_id[129] = '\0';
	CHECK(!path_id_is_valid(long_id));
}

CHECK_MAIN(CHECK_ROW(test_segments), CHECK_ROW(test_escapes),
    CHECK_ROW(test_refused), CHECK_ROW(test_many_segments),
    CHECK_ROW(test_kinds), CHECK_ROW(test_query),
    CHECK_ROW(test_query_is_read_or_refused), CHECK_ROW(test_query_is_bounded),
    CHECK_ROW(test_ids))
