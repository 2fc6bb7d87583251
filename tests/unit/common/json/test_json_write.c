/*
 * test_json_write: commas by themselves, and text that is safe in a page.
 */
#include "common/base/arena.h"
#include "common/json/json.h"
#include "tests/unit/check.h"

static struct buf b;
static struct json_w w;

static void
begin(void)
{
	buf_fini(&b);
	buf_init(&b, 0);
	json_w_init(&w, &b);
}

static void
test_structure(void)
{
	begin();
	json_w_open(&w, '{');
	json_w_kv(&w, "a", "x");
	json_w_kv(&w, "null", NULL);
	json_w_kv_opt(&w, "no", NULL);
	json_w_kv_opt(&w, "no", "");
	json_w_kv_opt(&w, "yes", "1");
	json_w_kv_int(&w, "i", INT64_MIN);
	json_w_kv_bool(&w, "t", true);
	json_w_kv_bool(&w, "f", false);
	json_w_kv_raw(&w, "raw", "[1]");
	json_w_key(&w, "list");
	json_w_open(&w, '[');
	json_w_int(&w, 1);
	json_w_str(&w, "two");
	json_w_null(&w);
	json_w_bool(&w, true);
	json_w_open(&w, '{');
	json_w_close(&w, '}');
	json_w_open(&w, '[');
	json_w_close(&w, ']');
	json_w_raw(&w, "{}");
	json_w_close(&w, ']');
	json_w_kv(&w, "z", "");
	json_w_close(&w, '}');
	CHECK_STR(buf_cstr(&b),
	    "{\"a\":\"x\",\"null\":null,\"yes\":\"1\","
	    "\"i\":-9223372036854775808,\"t\":true,\"f\":false,\"raw\":[1],"
	    "\"list\":[1,\"two\",null,true,{},[],{}],\"z\":\"\"}");
	buf_fini(&b);
}

static void
test_escapes(void)
{
	begin();
	json_w_str(&w, "<a href=\"x\">&</a>");
	CHECK_STR(buf_cstr(&b),
	    "\"\\u003ca href=\\\"x\\\"\\u003e\\u0026\\u003c/a\\u003e\"");
	begin();
	json_w_str(&w, "\xe2\x80\xa8 \xe2\x80\xa9 \xe2\x82\xac \\ "
		       "\n\r\t\b\x01\x1f\x7f");
	CHECK_STR(buf_cstr(&b), "\"\\u2028 \\u2029 \xe2\x82\xac \\\\ "
				"\\n\\r\\t\\u0008\\u0001\\u001f\x7f\"");
	begin();
	json_w_str(&w, "a\xff\xc3");
	CHECK_STR(buf_cstr(&b), "\"a\\ufffd\\ufffd\"");
	begin();
	json_w_open(&w, '{');
	json_w_kv(&w, "k\"<", "v");
	json_w_close(&w, '}');
	CHECK_STR(buf_cstr(&b), "{\"k\\\"\\u003c\":\"v\"}");
	buf_fini(&b);
}

/* Short texts are written in one piece. */
static void
test_lengths(void)
{
	char text[200], want[1024];

	for (size_t n = 0; n < sizeof(text); n++) {
		memset(text, 'x', n);
		text[n] = '\0';
		(void)snprintf(want, sizeof(want), "{\"%s\":\"%s\",\"%s\":1}",
		    text, text, text);
		begin();
		json_w_open(&w, '{');
		json_w_kv(&w, text, text);
		json_w_kv_int(&w, text, 1);
		json_w_close(&w, '}');
		CHECK_STR(buf_cstr(&b), want);
	}
	buf_fini(&b);
}

/* What the writer makes of any text, the strict reader gives back. */
static void
test_round_trip(void)
{
	struct arena *a = arena_new();
	const struct cJSON *v;
	const char *why, *s;
	char text[256];

	for (size_t i = 1; i < 128; i++)
		text[i - 1] = (char)i;
	memcpy(text + 127, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10);
	begin();
	json_w_open(&w, '{');
	json_w_kv(&w, "k", text);
	json_w_close(&w, '}');
	CHECK_INT(json_parse(a, b.data, b.len, &v, &why), RC_OK);
	CHECK_INT(json_str(v, "k", 1000, &s), RC_OK);
	CHECK_STR(s, text);
	buf_fini(&b);
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(test_lengths), CHECK_ROW(test_structure),
    CHECK_ROW(test_escapes), CHECK_ROW(test_round_trip))
