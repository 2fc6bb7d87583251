/*
 * Name constraints: read, within one another, written into a certificate and
 * read from it.
 */
#include "common/pki/cert/constraints.h"

#include <openssl/x509v3.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/json/json.h"
#include "tests/unit/check.h"

static rc
read_text(struct arena *a, const char *text, struct constraints *out)
{
	const struct cJSON *json;
	const char *why = NULL;
	rc ret;

	ret = json_parse(a, text, strlen(text), &json, &why);
	CHECK_INT(ret, RC_OK);
	why = NULL;
	ret = constraints_read(a, json, out, &why);
	CHECK((ret == RC_OK) == (why == NULL));
	return ret;
}

static void
test_what_is_read(void)
{
	static const struct {
		const char *one;
		rc ret;
	} rows[] = {
	    {"example.com", RC_OK},
	    {".example.com", RC_OK},
	    {"192.0.2.0/24", RC_OK},
	    {"0.0.0.0/0", RC_OK},
	    {"192.0.2.1/32", RC_OK},
	    {"2001:db8::/32", RC_OK},
	    {"::/0", RC_OK},
	    {"", RC_INVALID},
	    {".", RC_INVALID},
	    {"*.example.com", RC_INVALID},
	    {"a b", RC_INVALID},
	    {"192.0.2.1", RC_INVALID},
	    {"192.0.2.1/24", RC_INVALID},
	    {"192.0.2.0/33", RC_INVALID},
	    {"192.0.2.0/", RC_INVALID},
	    {"192.0.2.0/-1", RC_INVALID},
	    {"192.0.2.0/0024", RC_INVALID},
	    {"2001:db8::/129", RC_INVALID},
	    {"2001:db8::1/64", RC_INVALID},
	    {"/24", RC_INVALID},
	};
	struct arena *a = arena_new();
	struct constraints c;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK_INT(read_text(a,
			      arena_printf(a, "[{\"permitted\":[\"%s\"]}]",
				  rows[i].one),
			      &c),
		    rows[i].ret);
	/* One spelling each. */
	CHECK_INT(read_text(a,
		      "[{\"permitted\":[\"2001:0DB8::/032\",\"A.Test\"]}]", &c),
	    RC_OK);
	CHECK_STR(constraints_json(a, &c),
	    "[{\"permitted\":[\"2001:db8::/32\",\"a.test\"],"
	    "\"excluded\":[]}]");
	CHECK_INT(read_text(a, "[]", &c), RC_OK);
	CHECK_INT(c.npermitted + c.nexcluded, 0);
	CHECK_STR(constraints_json(a, &c), "[]");
	CHECK_INT(read_text(a, "[{\"denied\":[]}]", &c), RC_INVALID);
	CHECK_INT(read_text(a, "[\"example.com\"]", &c), RC_INVALID);
	CHECK_INT(read_text(a, "[{\"permitted\":\"x\"}]", &c), RC_INVALID);
	arena_free(a);
}

static void
test_within(void)
{
	static const struct {
		const char *above, *below;
		rc ret;
	} rows[] = {
	    {"a.com", "a.com", RC_OK},
	    {"a.com", "A.com", RC_OK},
	    {"a.com", "b.a.com", RC_OK},
	    {"a.com", ".a.com", RC_OK},
	    {"a.com", "aa.com", RC_INVALID},
	    {"a.com", "com", RC_INVALID},
	    {".a.com", "a.com", RC_INVALID},
	    {".a.com", ".a.com", RC_OK},
	    {".a.com", "b.a.com", RC_OK},
	    {"10.0.0.0/8", "10.1.0.0/16", RC_OK},
	    {"10.0.0.0/8", "10.0.0.0/8", RC_OK},
	    {"10.0.0.0/8", "10.0.0.0/7", RC_INVALID},
	    {"10.0.0.0/8", "11.0.0.0/16", RC_INVALID},
	    {"0.0.0.0/0", "11.0.0.0/16", RC_OK},
	    /* Networks are one kind: what is permitted of IPv4 permits no IPv6.
	     */
	    {"10.0.0.0/8", "2001:db8::/32", RC_INVALID},
	    /* Of another kind nothing is said above. */
	    {"10.0.0.0/8", "a.com", RC_OK},
	    {"a.com", "10.0.0.0/8", RC_OK},
	};
	struct arena *a = arena_new();
	struct constraints above, below;
	const char *why;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK_INT(read_text(a,
			      arena_printf(a, "[{\"permitted\":[\"%s\"]}]",
				  rows[i].above),
			      &above),
		    RC_OK);
		CHECK_INT(read_text(a,
			      arena_printf(a, "[{\"permitted\":[\"%s\"]}]",
				  rows[i].below),
			      &below),
		    RC_OK);
		CHECK_INT(constraints_narrow(a, &above, &below, &why),
		    rows[i].ret);
	}
	arena_free(a);
}

static void
test_what_is_kept(void)
{
	static const char above_text[] =
	    "[{\"permitted\":[\"a.com\",\"10.0.0.0/8\"],"
	    "\"excluded\":[\"x.a.com\"]}]";
	static const char *const forgets[] = {
	    "[{\"permitted\":[\"b.a.com\"]}]",
	    "[{\"excluded\":[\"y.x.a.com\"]}]",
	    "[{\"excluded\":[\"10.0.0.0/8\"]}]",
	};
	struct arena *a = arena_new();
	struct constraints above, below;
	const char *why;

	CHECK_INT(read_text(a, above_text, &above), RC_OK);
	for (size_t i = 0; i < ARRAY_LEN(forgets); i++) {
		CHECK_INT(read_text(a, forgets[i], &below), RC_OK);
		CHECK_INT(constraints_narrow(a, &above, &below, &why),
		    RC_INVALID);
	}
	CHECK_INT(read_text(a, "[]", &below), RC_OK);
	CHECK_INT(constraints_narrow(a, &above, &below, &why), RC_OK);
	CHECK_STR(constraints_json(a, &below), above_text);
	/* What is not said of a kind is as above. */
	CHECK_INT(read_text(a,
		      "[{\"permitted\":[\"b.a.com\"],"
		      "\"excluded\":[\"a.com\"]}]",
		      &below),
	    RC_OK);
	CHECK_INT(constraints_narrow(a, &above, &below, &why), RC_OK);
	CHECK_STR(constraints_json(a, &below),
	    "[{\"permitted\":[\"b.a.com\",\"10.0.0.0/8\"],"
	    "\"excluded\":[\"a.com\"]}]");
	arena_free(a);
}

static void
test_of_a_certificate(void)
{
	static const char text[] =
	    "[{\"permitted\":[\".a.com\",\"10.0.0.0/8\"],"
	    "\"excluded\":[\"2001:db8::/32\"]}]";
	struct arena *a = arena_new();
	struct constraints c, again;
	X509 *x = X509_new(), *odd = X509_new();
	X509_EXTENSION *ext;
	const char *why;

	CHECK_INT(read_text(a, text, &c), RC_OK);
	CHECK_INT(constraints_add(x, &c), RC_OK);
	CHECK_INT(constraints_of(a, x, &again, &why), RC_OK);
	CHECK_STR(constraints_json(a, &again), text);
	/* Names of a kind that nothing here could hold one against another. */
	ext = X509V3_EXT_conf_nid(NULL, NULL, NID_name_constraints,
	    "critical,permitted;email:a.com");
	CHECK(ext && X509_add_ext(odd, ext, -1) == 1);
	CHECK_INT(constraints_of(a, odd, &again, &why), RC_INVALID);
	X509_EXTENSION_free(ext);
	X509_free(odd);
	X509_free(x);
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(test_what_is_read), CHECK_ROW(test_within),
    CHECK_ROW(test_what_is_kept), CHECK_ROW(test_of_a_certificate))
