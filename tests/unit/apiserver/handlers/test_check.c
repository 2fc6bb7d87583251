#include "apiserver/handlers/config/check.h"

#include "common/base/attr.h"
#include "common/json/json.h"
#include "common/pki/cert/leaf_ext.h"
#include "tests/unit/check.h"

static struct arena *arena;

static const struct cJSON *
config(const char *text)
{
	const struct cJSON *out;
	const char *why;
	rc ret;

	ret = json_parse(arena, text, strlen(text), &out, &why);
	CHECK_INT(ret, RC_OK);
	return out;
}

#define COMMAND(value) check_command(arena, config("{\"c\":" value "}"), "c")
#define PATH(value) check_path(arena, config("{\"c\":" value "}"), "c", false)
#define URLS(value) check_urls(arena, config("{\"c\":" value "}"), "c")

static void
test_commands(void)
{
	arena = arena_new();
	CHECK(COMMAND("null") == NULL);
	CHECK(COMMAND("\"nginx -s reload\"") == NULL);
	CHECK(COMMAND("[\"sh\",\"-c\",\"a; b\"]") == NULL);
	for (const char *p = ";|&$(){}<>'`"; *p != '\0'; p++) {
		char text[] = "{\"c\":\"a ? b\"}";

		text[8] = *p;
		CHECK(check_command(arena, config(text), "c") != NULL);
	}
	CHECK(COMMAND("\"a \\\\ b\"") != NULL);
	CHECK(COMMAND("\"a \\\" b\"") != NULL);
	CHECK(COMMAND("\"a\\nb\"") != NULL);
	CHECK(COMMAND("\"  \"") != NULL);
	CHECK(COMMAND("5") != NULL);
	CHECK(COMMAND("{}") != NULL);
	CHECK(COMMAND("[]") != NULL);
	CHECK(COMMAND("[\"\"]") != NULL);
	CHECK(COMMAND("[\"a\",null]") != NULL);
	CHECK(COMMAND("[\"a\\nb\"]") != NULL);
	arena_free(arena);
}

static void
test_paths(void)
{
	arena = arena_new();
	CHECK(PATH("null") == NULL);
	CHECK(PATH("\"/etc/a.pem\"") == NULL);
	CHECK(PATH("\"/etc/..a/b..\"") == NULL);
	CHECK(PATH("\"/\"") != NULL);
	CHECK(PATH("\"a\"") != NULL);
	CHECK(PATH("\"/a/\"") != NULL);
	CHECK(PATH("\"/a/../b\"") != NULL);
	CHECK(PATH("\"/..\"") != NULL);
	CHECK(PATH("5") != NULL);
	CHECK(check_path(arena, config("{}"), "c", true) != NULL);
	CHECK(check_path(arena, config("{\"c\":\"\"}"), "c", true) != NULL);
	arena_free(arena);
}

/* n addresses of this many bytes. */
static const struct cJSON *
urls(int n, int bytes)
{
	const char *text = "", *fill = "http://crl.example.test/";

	for (int len = (int)strlen(fill); len < bytes; len++)
		fill = arena_printf(arena, "%sx", fill);
	for (int i = 0; i < n; i++)
		text = arena_printf(arena, "%s%s\"%s\"", text, i > 0 ? "," : "",
		    fill);
	return config(arena_printf(arena, "{\"c\":[%s]}", text));
}

static void
test_urls(void)
{
	arena = arena_new();
	CHECK(URLS("[]") == NULL);
	CHECK(URLS("[\"http://a/b\",\"https://a.test:8/x?y=z\"]") == NULL);
	CHECK(URLS("\"http://a\"") != NULL);
	CHECK(URLS("[\"ftp://a\"]") != NULL);
	CHECK(URLS("[\"http://\"]") != NULL);
	CHECK(URLS("[\"http:///x\"]") != NULL);
	CHECK(URLS("[\"http://a b\"]") != NULL);
	CHECK(URLS("[\"http://a/\xc3\xbc\"]") != NULL);
	CHECK(URLS("[5]") != NULL);
	/* As many and as long as worker and leaf take: one limit. */
	CHECK(check_urls(arena, urls(LEAF_CRL_URLS_MAX, LEAF_CRL_URL_MAX),
		  "c") == NULL);
	CHECK(check_urls(arena, urls(LEAF_CRL_URLS_MAX + 1, 30), "c") != NULL);
	CHECK(check_urls(arena, urls(1, LEAF_CRL_URL_MAX + 1), "c") != NULL);
	arena_free(arena);
}

CHECK_MAIN(CHECK_ROW(test_commands), CHECK_ROW(test_paths),
    CHECK_ROW(test_urls))
