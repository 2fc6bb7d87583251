#include "apiserver/resources/secretkey.h"

#include "common/base/attr.h"
#include "common/base/buf.h"
#include "common/cfg/secretname.h"
#include "tests/unit/check.h"

static void
test_names(void)
{
	static const char *const secret[] = {"password", "api_key", "API_TOKEN",
	    "eab_hmac", "winrm_password", "private_key", "key", "credentials",
	    "keystore_password"};
	static const char *const open[] = {"ca_key_path", "key_path",
	    "key_file_mode", "key_file_owner", "key_file_group", "key_file",
	    "token_url", "host", "cert_path"};

	for (size_t i = 0; i < ARRAY_LEN(secret); i++)
		CHECK(secretname_is(secret[i]));
	for (size_t i = 0; i < ARRAY_LEN(open); i++)
		CHECK(!secretname_is(open[i]));
}

static const struct cJSON *
parsed(struct arena *a, const char *text)
{
	const struct cJSON *out;
	const char *why;
	rc ret;

	ret = json_parse(a, text, strlen(text), &out, &why);
	CHECK_INT(ret, RC_OK);
	return out;
}

static void
test_masked(void)
{
	struct arena *a = arena_new();
	struct json_w w;
	struct buf b;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	secretkey_put_masked(a, &w,
	    parsed(a,
		"{\"password\":\"x\",\"empty_token\":\"\",\"n\":1,\"key_path\":"
		"\"/"
		"k\",\"w\":{\"api_key\":\"x\",\"on\":true},\"tokens\":[\"x\","
		"{\"v\":\"x\"}],\"list\":[{\"hmac\":\"x\"},null]}"));
	CHECK_STR(buf_cstr(&b),
	    "{\"password\":\"********\",\"empty_token\":\"\",\"n\":1,"
	    "\"key_path\":\"/k\",\"w\":{\"api_key\":\"********\",\"on\":true},"
	    "\"tokens\":[\"********\",{\"v\":\"********\"}],"
	    "\"list\":[{\"hmac\":\"********\"},null]}");
	buf_fini(&b);
	arena_free(a);
}

static void
test_refused(void)
{
	struct arena *a = arena_new();
	const char *why;

	CHECK(secretkey_refuse(a, parsed(a, "{\"key_path\":\"/k\"}")) == NULL);
	CHECK(secretkey_refuse(a, parsed(a, "{\"password\":\"********\"}")) ==
	      NULL);
	CHECK(secretkey_refuse(a, parsed(a, "{\"password\":\"\"}")) == NULL);
	why = secretkey_refuse(a, parsed(a, "{\"a\":{\"token\":\"t0p\"}}"));
	CHECK(why != NULL && strstr(why, "config.token") != NULL);
	CHECK(strstr(why, "t0p") == NULL);
	CHECK(secretkey_refuse(a, parsed(a, "{\"tokens\":[\"x\"]}")) != NULL);
	CHECK(secretkey_refuse(a, parsed(a, "{\"a\":[{\"key\":\"x\"}]}")) !=
	      NULL);
	arena_free(a);
}

/* Whether the mask is refused by a message that names it. */
static bool
is_unkept(const char *sent, const char *stored, const char *name)
{
	struct arena *a = arena_new();
	const char *why = secretkey_unkept(a, parsed(a, sent),
	    stored == NULL ? NULL : parsed(a, stored));
	bool is_named = why != NULL && strstr(why, name) != NULL;

	CHECK(why == NULL || is_named);
	arena_free(a);
	return is_named;
}

static void
test_unkept(void)
{
	CHECK(!is_unkept("{}", NULL, ""));
	CHECK(!is_unkept("{\"a_key\":\"x\"}", NULL, ""));
	CHECK(!is_unkept("{\"a_key\":\"********\"}", "{\"a_key\":\"x\"}", ""));
	CHECK(is_unkept("{\"a_key\":\"********\"}", NULL, "config.a_key"));
	CHECK(
	    is_unkept("{\"a_key\":\"********\"}", "{\"b\":1}", "config.a_key"));
	CHECK(is_unkept("{\"name\":\"********\"}", "{\"name\":null}",
	    "config.name"));
	CHECK(is_unkept("{\"w\":{\"a\":[\"********\"]}}",
	    "{\"w\":{\"a\":[\"x\"]}}", "config.w"));
}

CHECK_MAIN(CHECK_ROW(test_names), CHECK_ROW(test_masked),
    CHECK_ROW(test_refused), CHECK_ROW(test_unkept))
