/*
 * What a profile demands of a request, and of the leaf.
 */
#include "common/pki/profile/certprofile.h"

#include <string.h>

#include "common/base/attr.h"
#include "tests/unit/check.h"
#include "tests/unit/common/pki/fixture.h"

#define HEAD "{\"id\":\"prof-x\",\"max_ttl_seconds\":0,\"enabled\":true,"
#define ANY_KEY \
	"\"allowed_key_algorithms\":[{\"algorithm\":\"ECDSA\"," \
	"\"min_size\":256},{\"algorithm\":\"Ed25519\",\"min_size\":256}]"

static void
request(struct arena *a, const char *kind, struct csr *out)
{
	static const char *const sans[] = {"www.example.com",
	    "spiffe://example.com/w/1"};
	const char *why = NULL;
	char *pem = NULL;

	CHECK_INT(csr_make(a, fixture_key(kind), "www.example.com", sans,
		      ARRAY_LEN(sans), &pem),
	    RC_OK);
	CHECK_INT(fixture_parse(a, pem, out, &why), RC_OK);
}

/* text NULL: no profile.  want NULL: allowed, else a part of why not. */
static void
judge(const char *kind, const char *text, const char *want)
{
	struct arena *a = arena_new();
	struct certprofile p;
	const char *why = NULL;
	struct csr csr;
	rc ret = RC_OK;

	request(a, kind, &csr);
	if (text)
		ret = certprofile_read(a, text, &p, &why);
	if (ret == RC_OK)
		ret =
		    certprofile_allows_request(a, text ? &p : NULL, &csr, &why);
	if (!want && ret != RC_OK)
		CHECK_STR(why, text ? text : "");
	CHECK_INT(ret, want ? RC_INVALID : RC_OK);
	if (want && strstr(why, want) == NULL)
		CHECK_STR(why, want);
	arena_free(a);
}

static void
test_request(void)
{
	judge("P-256", NULL, NULL);
	judge("ED25519", NULL, "Ed25519");
	judge("P-256", HEAD ANY_KEY "}", NULL);
	judge("ED25519", HEAD ANY_KEY "}", NULL);
	judge("RSA:2048", HEAD ANY_KEY "}",
	    "prof-x does not allow a key of RSA with 2048 bits");
	judge("P-256", HEAD "\"allowed_key_algorithms\":7}", "a key");
	judge("P-256",
	    HEAD "\"allowed_key_algorithms\":[{\"algorithm\":\"ECDSA\","
		 "\"min_size\":384}]}",
	    "ECDSA with 256");
	judge("P-256",
	    "{\"id\":\"prof-x\",\"max_ttl_seconds\":0,\"enabled\":"
	    "false," ANY_KEY "}",
	    "prof-x is disabled");
	judge("P-256", "[]", "makes no sense");
	judge("P-256", HEAD ANY_KEY ",\"allowed_ekus\":{}}", "makes no sense");
}

static void
test_names(void)
{
	judge("P-256",
	    HEAD ANY_KEY ",\"required_san_patterns\":[\"x\",\".*example.*\"]}",
	    NULL);
	judge("P-256",
	    HEAD ANY_KEY
	    ",\"required_san_patterns\":[\".*\\\\.example\\\\.com\"]}",
	    "the name spiffe://example.com/w/1 (required_san_patterns)");
	judge("P-256",
	    HEAD ANY_KEY ",\"spiffe_uri_pattern\":\"spiffe://example.com/w/*\","
			 "\"required_san_patterns\":[\"www\\\\..*\"]}",
	    NULL);
	judge("P-256",
	    HEAD ANY_KEY ",\"spiffe_uri_pattern\":\"spiffe://other/w/*\"}",
	    "(spiffe_uri_pattern)");
	judge("P-256",
	    HEAD ANY_KEY ",\"required_san_patterns\":[\"*.example.com\"]}",
	    "makes no sense: repeats nothing");
}

static void
test_attributes(void)
{
	judge("P-256",
	    HEAD ANY_KEY ",\"required_csr_attributes\":[\"subjectAltName\","
			 "\"commonName\",\"1.2.840.113549.1.9.14\"]}",
	    NULL);
	judge("P-256",
	    HEAD ANY_KEY
	    ",\"required_csr_attributes\":[\"challengePassword\"]}",
	    "the attribute challengePassword");
	judge("P-256",
	    HEAD ANY_KEY ",\"required_csr_attributes\":[\"noSuchThing\"]}",
	    "noSuchThing");
}

static const char *
leaf_why(struct arena *a, const struct certprofile *p, int64_t life_s,
    const char *eku, bool must_staple, bool ends_with_ca)
{
	const char *const ekus[] = {eku, NULL};
	const struct certprofile_leaf leaf = {life_s, 3600, ekus, must_staple,
	    ends_with_ca};
	const char *why = "";
	rc ret;

	ret = certprofile_allows_leaf(a, p, &leaf, &why);
	return ret == RC_OK ? "" : why;
}

static void
test_leaf(void)
{
	static const char *const ekus[] = {"serverAuth"};
	struct certprofile p = {.id = "prof-x",
	    .nekus = 1,
	    .ekus = (const char **)(uintptr_t)ekus};
	struct arena *a = arena_new();

	CHECK_STR(leaf_why(a, &p, 86400, "serverAuth", false, false), "");
	CHECK_STR(leaf_why(a, &p, 86400, NULL, false, false), "");
	CHECK(strstr(leaf_why(a, &p, 86400, "clientAuth", false, false),
	    "is for clientAuth"));
	CHECK(strstr(leaf_why(a, &p, 3599, NULL, false, false),
	    "allow_short_lived is false"));
	CHECK_STR(leaf_why(a, &p, 3599, NULL, false, true), "");
	p.max_ttl_s = 600;
	CHECK_STR(leaf_why(a, &p, 600, NULL, false, false), "");
	CHECK(strstr(leaf_why(a, &p, 601, NULL, false, false),
	    "longer than its max_ttl_seconds (600)"));
	p.must_staple = true;
	CHECK(strstr(leaf_why(a, &p, 600, NULL, false, false), "must-staple"));
	CHECK_STR(leaf_why(a, &p, 600, NULL, true, false), "");
	p.max_ttl_s = 0;
	p.allow_short_lived = true;
	CHECK_STR(leaf_why(a, &p, 60, NULL, true, false), "");
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(test_request), CHECK_ROW(test_names),
    CHECK_ROW(test_attributes), CHECK_ROW(test_leaf))
