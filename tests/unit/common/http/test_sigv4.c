/*
 * test_sigv4: the test suite that AWS published for signatures of version 4
 * (aws-sig-v4-test-suite), as far as its requests go to "/" without a query:
 * others are not signed here.
 */
#include <string.h>

#include "common/http/sigv4.h"
#include "tests/unit/check.h"

#define NOW 1440938160 /* 2015-08-30T12:36:00Z */
#define HOST \
	{ \
		"Host", "example.amazonaws.com" \
	}
#define END \
	{ \
		NULL, NULL \
	}
#define CREDENTIAL \
	"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/" \
	"aws4_request, SignedHeaders="

static const char token[] =
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWH"
    "GBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC"
    "1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQ"
    "cHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fP"
    "OLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

struct vector {
	const char *name, *method;
	struct http_header headers[6];
	const char *body, *token, *names, *signature;
};

static const struct vector vectors[] = {
    {"get-vanilla", "GET", {HOST, END}, "", "", "host;x-amz-date",
	"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-header-key-duplicate", "GET",
	{HOST, {"My-Header1", "value2"}, {"My-Header1", "value2"},
	    {"My-Header1", "value1"}, END},
	"", "", "host;my-header1;x-amz-date",
	"c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"get-header-value-order", "GET",
	{HOST, {"My-Header1", "value4"}, {"My-Header1", "value1"},
	    {"My-Header1", "value3"}, {"My-Header1", "value2"}, END},
	"", "", "host;my-header1;x-amz-date",
	"08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
    {"get-header-value-trim", "GET",
	{HOST, {"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""},
	    END},
	"", "", "host;my-header1;my-header2;x-amz-date",
	"acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"post-header-key-sort", "POST", {{"My-Header1", "value1"}, HOST, END}, "",
	"", "host;my-header1;x-amz-date",
	"c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
    {"post-header-value-case", "POST", {HOST, {"My-Header1", "VALUE1"}, END},
	"", "", "host;my-header1;x-amz-date",
	"cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
    {"post-vanilla", "POST", {HOST, END}, "", "", "host;x-amz-date",
	"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"post-x-www-form-urlencoded", "POST",
	{{"Content-Type", "application/x-www-form-urlencoded"}, HOST, END},
	"Param1=value1", "", "content-type;host;x-amz-date",
	"ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
    {"post-x-www-form-urlencoded-parameters", "POST",
	{{"Content-Type", "application/x-www-form-urlencoded; charset=utf8"},
	    HOST, END},
	"Param1=value1", "", "content-type;host;x-amz-date",
	"1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe"},
    {"post-sts-header-before", "POST", {HOST, END}, "", token,
	"host;x-amz-date;x-amz-security-token",
	"85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
};

static void
test_published_vectors(void)
{
	struct arena *a = arena_new();

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const struct vector *v = &vectors[i];
		const struct sigv4_key key = {
		    .access_key_id = "AKIDEXAMPLE",
		    .secret_access_key =
			"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
		    .session_token = v->token,
		    .region = "us-east-1",
		    .service = "service",
		};
		struct sigv4_signed got;

		sigv4_sign(a, &key, v->method, v->headers, v->body,
		    strlen(v->body), NOW, &got);
		CHECK_STR(got.date, "20150830T123600Z");
		CHECK_STR(arena_printf(a, "%s: %s", v->name, got.authorization),
		    arena_printf(a, "%s: " CREDENTIAL "%s, Signature=%s",
			v->name, v->names, v->signature));
	}
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(test_published_vectors))
