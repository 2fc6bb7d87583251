/*
 * test_yaml_read: YAML becomes the JSON that everybody takes it for, or is
 * refused with its line.
 */
#include "cli/yaml_read.h"

#include <stdlib.h>

#include <cjson/cJSON.h>

#include "common/base/buf.h"
#include "common/json/json.h"
#include "tests/unit/check.h"

static struct arena *a;

/* The JSON of it, or why not. */
static const char *
read_text(const char *text, size_t len)
{
	struct cJSON *out = NULL;
	const char *why = NULL;
	rc ret;

	arena_free(a);
	a = arena_new();
	ret = yaml_read(a, text, len, &out, &why);
	if (ret == RC_OK)
		return json_text(a, out);
	CHECK(out == NULL);
	return why;
}

#define READ(text) read_text(text, strlen(text))

static void
values_are_those_of_json(void)
{
	CHECK_STR(READ("name: web\nport: 443\nratio: -0.5\non_top: null\n"
		       "enabled: true\nempty:\nlist:\n- a\n- 2\n- {b: c}\n"),
	    "{\"name\":\"web\",\"port\":443,\"ratio\":-0.5,\"on_top\":null,"
	    "\"enabled\":true,\"empty\":null,\"list\":[\"a\",2,{\"b\":\"c\"}]"
	    "}");
	CHECK_STR(READ("{\"a\": [1, \"1\"], \"b\": {}}"),
	    "{\"a\":[1,\"1\"],\"b\":{}}");
	CHECK_STR(READ("a: 'no'\nb: \"010\"\nc: |\n  x\n  y\n"),
	    "{\"a\":\"no\",\"b\":\"010\",\"c\":\"x\\ny\\n\"}");
	CHECK_STR(READ("ip: 10.0.0.1\nversion: 1.2.3\nat: 2026-01-02\n"
		       "name: 1a\nhash: 0xyz\nK\xc3\xb6ln: \xe2\x82\xac"),
	    "{\"ip\":\"10.0.0.1\",\"version\":\"1.2.3\",\"at\":\"2026-01-02\","
	    "\"name\":\"1a\",\"hash\":\"0xyz\",\"K\xc3\xb6ln\":"
	    "\"\xe2\x82\xac\"}");
	CHECK_STR(READ("a: True\nb: FALSE\nc: ~\nd: Null"),
	    "{\"a\":true,\"b\":false,\"c\":null,\"d\":null}");
	CHECK_STR(READ("no: 1\ny: 2"), "{\"no\":1,\"y\":2}");
	CHECK_STR(READ("---\na: 4503599627370495\n...\n"),
	    "{\"a\":4503599627370495}");
}

static void
what_versions_read_differently_is_refused(void)
{
	static const char *const unclear[] = {"no", "Yes", "ON", "off", "y",
	    "N", "tRUE", "nULL", "010", "0x1F", "0o17", "0b1", "1_000", "+5",
	    ".5", "5.", ".inf", "-.INF", ".NaN", "1.e5", "+1e5"};
	char text[64];

	for (size_t i = 0; i < ARRAY_LEN(unclear); i++) {
		(void)snprintf(text, sizeof(text), "x: 1\na: %s\n", unclear[i]);
		CHECK(strstr(READ(text), " in line 2"));
		(void)snprintf(text, sizeof(text), "a: \"%s\"\n", unclear[i]);
		CHECK(READ(text)[0] == '{');
	}
	CHECK(strstr(READ("a: 4503599627370496"), "too large"));
	CHECK(strstr(READ("a: 1e999"), "too large"));
	CHECK(strstr(READ("a: 8e88"), "too large"));
	CHECK(strstr(READ("a: -1.5e101"), "too large"));
}

static void
what_json_has_no_word_for_is_refused(void)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
	    {"a: &x 1\nb: *x", "anchor"},
	    {"a: &x [1]", "anchor"},
	    {"a: &x {b: 1}", "anchor"},
	    {"a: *x", "alias"},
	    {"a: !!str 5", "tag"},
	    {"a: !foo {b: 1}", "tag"},
	    {"a: !foo [b]", "tag"},
	    {"<<: {a: 1}", "merge key"},
	    {"{? [a, b] : 1}", "key is no text"},
	    {"a: 1\nA: 2", "twice in line 2"},
	    {"a: 1\n---\nb: 2", "second document"},
	    {"", "nothing"},
	    {"# a remark\n", "nothing"},
	    {"a: \"x\\0y\"", "NUL"},
	    {"\xff", "UTF-8"},
	    {"a: [1", " in line 2"},
	    {"a:\n\t- b", " in line 2"},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (!strstr(READ(bad[i].text), bad[i].why))
			CHECK_STR(READ(bad[i].text), bad[i].why);
	}
	CHECK(strstr(read_text("a: b\0c", 6), "UTF-8"));
}

/* The JSON of an export, or why not. */
static const char *
texts(const char *text)
{
	const struct cJSON *out = NULL;
	const char *why = NULL;
	rc ret;

	arena_free(a);
	a = arena_new();
	ret = yaml_read_texts(a, text, strlen(text), &out, &why);
	if (ret == RC_OK)
		return json_text(a, out);
	CHECK(out == NULL);
	return why;
}

static void
an_export_is_documents_of_texts(void)
{
	CHECK_STR(texts("a: 1\nb: [x, {c: ''}]\n---\nd: |\n  e\n"),
	    "[{\"a\":\"1\",\"b\":[\"x\",{\"c\":\"\"}]},{\"d\":\"e\\n\"}]");
	CHECK_STR(texts("a: no\nA: 010\nb:\n"),
	    "[{\"a\":\"no\",\"A\":\"010\",\"b\":\"\"}]");
	CHECK_STR(texts(""), "[]");
	CHECK_STR(texts("---\n---\nx"), "[\"\",\"x\"]");
	CHECK_STR(texts("a: 1\nb: *x\n"), "an alias is not taken in line 2");
	CHECK_STR(texts("a: &x 1\n"), "an anchor is not taken in line 1");
	CHECK_STR(texts("a: !!str 1\n"), "a tag is not taken in line 1");
	CHECK_STR(texts("<<: 1\n"), "a merge key is not taken in line 1");
	CHECK_STR(texts("a: 1\na: 2\n"), "\"a\" stands there twice in line 2");
	CHECK_STR(texts("? [a]\n: b\n"), "a key is no text in line 1");
	CHECK(strstr(texts("a: 1\n---\nb: [1\nc"), " in line "));
	CHECK_STR(texts("\xff"), "it is no UTF-8");
}

/* What is read, or why not, of a mapping of so many keys. */
static const char *
keys(size_t n)
{
	struct buf b;
	const char *out;

	buf_init(&b, 0);
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "k%zu: 1\n", i);
	out = READ(buf_cstr(&b));
	buf_fini(&b);
	return out;
}

static void
limits_hold(void)
{
	struct cJSON *out = NULL;
	const char *why = NULL;
	char *text = malloc(YAML_BYTES_MAX + 2);

	memset(text, '[', 64);
	memset(text + 64, ']', 64);
	CHECK_STR(read_text(text + 32, 64)[0] == '[' ? "taken" : "refused",
	    "taken");
	CHECK(strstr(read_text(text + 31, 66), "too deep"));
	memset(text, ' ', YAML_BYTES_MAX + 1);
	CHECK_INT(yaml_read(a, text, YAML_BYTES_MAX + 1, &out, &why),
	    RC_TOO_LARGE);
	for (size_t i = 0; i < YAML_NODES_MAX; i++)
		memcpy(text + i * 4, "- a\n", 4);
	CHECK_INT(yaml_read(a, text, YAML_NODES_MAX * 4, &out, &why),
	    RC_TOO_LARGE);
	CHECK_INT(yaml_read(a, text, (YAML_NODES_MAX - 1) * 4, &out, &why),
	    RC_OK);
	free(text);
	CHECK_INT(keys(YAML_KEYS_MAX)[0], '{');
	CHECK(strstr(keys(YAML_KEYS_MAX + 1), "too many keys in line 2001"));
}

static void
an_export_may_hold_more(void)
{
	const struct cJSON *out = NULL;
	const char *why = NULL;
	struct buf b;

	buf_init(&b, 0);
	while (b.len <= YAML_BYTES_MAX)
		buf_puts(&b, "- a: b\n");
	CHECK_INT(yaml_read_texts(a, buf_cstr(&b), b.len, &out, &why),
	    RC_TOO_LARGE);
	CHECK(strstr(why, "too many values"));
	buf_reset(&b);
	for (size_t i = 0; i < YAML_NODES_MAX; i++)
		buf_puts(&b, "- a: b\n");
	CHECK_INT(yaml_read_texts(a, buf_cstr(&b), b.len, &out, &why), RC_OK);
	CHECK(strstr(texts("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["), "too deep"));
	CHECK_INT(yaml_read_texts(a, buf_cstr(&b), YAML_TEXTS_BYTES_MAX + 1,
		      &out, &why),
	    RC_TOO_LARGE);
	buf_fini(&b);
}

CHECK_MAIN(CHECK_ROW(values_are_those_of_json),
    CHECK_ROW(what_versions_read_differently_is_refused),
    CHECK_ROW(what_json_has_no_word_for_is_refused),
    CHECK_ROW(an_export_is_documents_of_texts), CHECK_ROW(limits_hold),
    CHECK_ROW(an_export_may_hold_more))
