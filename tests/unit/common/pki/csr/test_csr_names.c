/*
 * Requests made by us: OpenSSL verifies them, and they match the names they
 * were made for and no others.
 */
#include "common/pki/csr/csr.h"

#include <openssl/pem.h>

#include "common/base/attr.h"
#include "tests/unit/check.h"
#include "tests/unit/common/pki/fixture.h"

static const char *const kinds[] = {"P-256", "P-384", "P-521", "RSA:2048",
    "ED25519"};

static void
make(struct arena *a, EVP_PKEY *key, const char *cn, const char *const *sans,
    size_t n, struct csr *out)
{
	const char *why = NULL;
	char *pem = NULL;
	BIO *bio;
	X509_REQ *req;

	CHECK_INT(csr_make(a, key, cn, sans, n, &pem), RC_OK);
	bio = BIO_new_mem_buf(pem, -1);
	req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
	CHECK(req != NULL);
	CHECK_INT(X509_REQ_verify(req, key), 1);
	X509_REQ_free(req);
	BIO_free(bio);
	CHECK_INT(fixture_parse(a, pem, out, &why), RC_OK);
	CHECK_INT(csr_verify(out), RC_OK);
}

static void
test_make(void)
{
	static const char *const sans[] = {"www.example.com", "10.0.0.1",
	    "2001:DB8::1", "ops@example.com", "spiffe://example.com/W"};
	static const struct san want[] = {
	    {SAN_DNS, "example.com"},
	    {SAN_DNS, "www.example.com"},
	    {SAN_IP, "10.0.0.1"},
	    {SAN_IP, "2001:db8::1"},
	    {SAN_EMAIL, "ops@example.com"},
	    {SAN_URI, "spiffe://example.com/W"},
	};

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		struct arena *a = arena_new();
		const char *why = NULL;
		struct csr c;

		make(a, fixture_key(kinds[k]), "example.com", sans,
		    ARRAY_LEN(sans), &c);
		CHECK_STR(c.common_name, "example.com");
		CHECK_INT(c.nsans, ARRAY_LEN(want));
		for (size_t i = 0; i < ARRAY_LEN(want); i++) {
			CHECK_INT(c.sans[i].type, want[i].type);
			CHECK_STR(c.sans[i].text, want[i].text);
		}
		CHECK_INT(csr_match_names(a, &c, "EXAMPLE.com", sans,
			      ARRAY_LEN(sans), &why),
		    RC_OK);
		arena_free(a);
	}
}

static void
test_make_edges(void)
{
	static const char *const listed[] = {"B.example", "a.example"};
	struct arena *a = arena_new();
	EVP_PKEY *key = fixture_key("P-256");
	const char *many[CSR_NAMES_MAX + 1];
	char longer[256], *pem = NULL;
	const char *bad = "a b";
	struct csr c;

	make(a, key, "b.example", listed, 2, &c);
	CHECK_INT(c.nsans, 2); /* not listed twice */
	CHECK_INT(csr_make(a, key, "Some Device", listed, 2, &pem), RC_INVALID);
	make(a, key, NULL, listed, 2, &c);
	CHECK(c.common_name == NULL);

	/* Too long for a common name: in the alternative names alone. */
	memset(longer, 'a', sizeof(longer));
	for (size_t i = 9; i < 80; i += 10)
		longer[i] = '.';
	longer[78] = '\0';
	make(a, key, longer, NULL, 0, &c);
	CHECK(c.common_name == NULL);
	CHECK_INT(c.nsans, 1);
	CHECK_STR(c.sans[0].text, longer);

	CHECK_INT(csr_make(a, key, "a.example", &bad, 1, &pem), RC_INVALID);
	CHECK_INT(csr_make(a, key, "", NULL, 0, &pem), RC_INVALID);
	CHECK_INT(csr_make(a, key, "a\nb", NULL, 0, &pem), RC_INVALID);
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = arena_printf(a, "host-%zu.example", i);
	CHECK_INT(csr_make(a, key, "x.example", many, ARRAY_LEN(many), &pem),
	    RC_INVALID);
	make(a, key, many[0], many, CSR_NAMES_MAX, &c);
	CHECK_INT(c.nsans, CSR_NAMES_MAX);
	CHECK(pem == NULL);
	CHECK_INT(csr_make(a, fixture_key("X25519"), "x", NULL, 0, &pem),
	    RC_INVALID);
	arena_free(a);
}

/* As many names as there may be, each as long as one may be, fit with the
 * longest key: what 8192 bits take more than 2048, twice, as base64. */
static void
test_longest(void)
{
	const int more = 2 * (8192 - 2048) / 8 * 65 / 48;
	struct arena *a = arena_new();
	const char *sans[CSR_SANS_MAX];
	const char *why = NULL;
	char *pem, fill[60];
	struct csr c;

	memset(fill, 'a', sizeof(fill));
	for (int i = 0; i < CSR_SANS_MAX; i++)
		sans[i] = arena_printf(a, "%03d%.*s.%.*s.%.*s.%.*s.example", i,
		    60, fill, 60, fill, 60, fill, 59, fill);
	CHECK_INT(strlen(sans[0]), 253);
	CHECK_INT(csr_make(a, fixture_key("RSA:2048"), "a.example", sans,
		      CSR_SANS_MAX, &pem),
	    RC_OK);
	CHECK_INT(csr_parse(a, pem, strlen(pem), &c, &why), RC_OK);
	CHECK_INT(c.nnames, CSR_NAMES_MAX);
	CHECK((int)strlen(pem) + more <= CSR_PEM_MAX);
	arena_free(a);
}

static void
mismatch(struct arena *a, const struct csr *c, const char *cn,
    const char *const *sans, size_t n, const char *want)
{
	const char *why = NULL;

	CHECK_INT(csr_match_names(a, c, cn, sans, n, &why), RC_INVALID);
	CHECK_STR(why, want);
}

static void
test_match(void)
{
	static const char *const asked[] = {"a.example", "10.0.0.1"};
	static const char *const more[] = {"a.example", "10.0.0.1",
	    "c.example"};
	struct arena *a = arena_new();
	const char *why = NULL;
	struct csr c;

	make(a, fixture_key("P-256"), "a.example", asked, 2, &c);
	CHECK_INT(csr_match_names(a, &c, "a.example", asked, 2, &why), RC_OK);
	CHECK_INT(csr_match_names(a, &c, "A.EXAMPLE", asked + 1, 1, &why),
	    RC_OK);
	CHECK_INT(csr_match_names(a, &c, NULL, asked, 2, &why), RC_OK);
	mismatch(a, &c, "a.example", more, 3, "the request lacks c.example");
	mismatch(a, &c, "a.example", NULL, 0,
	    "the request asks for 10.0.0.1, which the certificate does not "
	    "name");
	mismatch(a, &c, "b.example", asked + 1, 1,
	    "the request asks for a.example, which the certificate does not "
	    "name");
	arena_free(a);
}

/* An address as a DNS name is another name than the address. */
static void
test_match_types(void)
{
	static const struct fixture_san dns_ip[] = {{GEN_DNS, "a.example"},
	    {GEN_DNS, "10.0.0.1"}, {0}};
	static const struct fixture_san uri[] = {{GEN_URI, "spiffe://a/B"},
	    {0}};
	static const char *const names[] = {"a.example", "10.0.0.1"};
	static const char *const upper[] = {"spiffe://a/b"};
	static const char *const same[] = {"spiffe://a/B"};
	struct arena *a = arena_new();
	EVP_PKEY *key = fixture_key("P-256");
	const char *why = NULL;
	struct csr c;

	CHECK_INT(fixture_parse(a, fixture_csr(a, key, NULL, dns_ip), &c, &why),
	    RC_OK);
	CHECK_INT(csr_match_names(a, &c, NULL, names, 2, &why), RC_INVALID);
	CHECK_INT(fixture_parse(a, fixture_csr(a, key, NULL, uri), &c, &why),
	    RC_OK);
	CHECK_INT(csr_match_names(a, &c, NULL, upper, 1, &why), RC_INVALID);
	CHECK_INT(csr_match_names(a, &c, NULL, same, 1, &why), RC_OK);
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(test_make), CHECK_ROW(test_make_edges),
    CHECK_ROW(test_longest), CHECK_ROW(test_match), CHECK_ROW(test_match_types))
