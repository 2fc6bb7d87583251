/*
 * Every field of a parsed request against what OpenSSL reads, and what must
 * be refused.
 */
#include "common/pki/csr/csr.h"

#include <openssl/pem.h>

#include "common/base/attr.h"
#include "tests/unit/check.h"
#include "tests/unit/common/pki/fixture.h"

static const char *const kinds[] = {"P-256", "P-384", "P-521", "RSA:2048",
    "RSA:3072", "ED25519"};

static const struct fixture_attr full_subject[] = {
    {NID_countryName, V_ASN1_PRINTABLESTRING, "DE"},
    {NID_organizationName, V_ASN1_UTF8STRING, "Caf\xc3\xa9 Beispiel"},
    {NID_commonName, V_ASN1_UTF8STRING, "Www.Example.com"},
    {NID_pkcs9_emailAddress, V_ASN1_IA5STRING, "x@example.com"},
    {0},
};
static const struct fixture_san all_sans[] = {
    {GEN_DNS, "WWW.Example.com"},
    {GEN_DNS, "*.example.org"},
    {GEN_IPADD, "\x0a\x00\x00\x01", 4},
    {GEN_IPADD, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16},
    {GEN_EMAIL, "User@example.com"},
    {GEN_URI, "spiffe://example.com/Workload"},
    {0},
};

static bool
span_is_der(struct span s, unsigned char *der, int len)
{
	bool same =
	    len > 0 && s.len == (size_t)len && memcmp(s.p, der, s.len) == 0;

	OPENSSL_free(der);
	return same;
}

static void
compare(const struct csr *c, X509_REQ *req, EVP_PKEY *key)
{
	const ASN1_BIT_STRING *sig;
	const X509_ALGOR *alg;
	unsigned char *der = NULL;
	int len;

	len = i2d_X509_REQ(req, &der);
	CHECK(span_is_der(c->der, der, len));
	der = NULL;
	len = i2d_re_X509_REQ_tbs(req, &der);
	CHECK(span_is_der(c->tbs, der, len));
	der = NULL;
	len = i2d_X509_NAME(X509_REQ_get_subject_name(req), &der);
	CHECK(span_is_der(c->subject, der, len));
	der = NULL;
	len = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(req), &der);
	CHECK(span_is_der(c->spki, der, len));
	X509_REQ_get0_signature(req, &sig, &alg);
	CHECK_INT(c->sig.len, ASN1_STRING_length(sig));
	CHECK(memcmp(c->sig.p, ASN1_STRING_get0_data(sig), c->sig.len) == 0);
	der = NULL;
	len = i2d_X509_ALGOR(alg, &der);
	CHECK(span_is_der(c->sig_alg, der, len));
	if (strcmp(c->key_algorithm, "Ed25519") == 0)
		CHECK_INT(c->key_size, 0);
	else
		CHECK_INT(c->key_size, EVP_PKEY_get_bits(key));
}

static void
test_fields(void)
{
	const char *why = NULL;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct arena *a = arena_new();
		EVP_PKEY *key = fixture_key(kinds[i]);
		X509_REQ *req = fixture_req(key, full_subject, all_sans);
		struct csr c;

		CHECK_INT(fixture_parse(a, fixture_pem(a, req), &c, &why),
		    RC_OK);
		compare(&c, req, key);
		CHECK_STR(c.common_name, "Www.Example.com");
		CHECK_INT(c.nsans, 6);
		CHECK_INT(csr_verify(&c), RC_OK);
		X509_REQ_free(req);
		arena_free(a);
	}
}

static void
test_names(void)
{
	static const struct san want[] = {
	    {SAN_DNS, "www.example.com"},
	    {SAN_DNS, "*.example.org"},
	    {SAN_IP, "10.0.0.1"},
	    {SAN_IP, "2001:db8::1"},
	    {SAN_EMAIL, "User@example.com"},
	    {SAN_URI, "spiffe://example.com/Workload"},
	};
	struct arena *a = arena_new();
	const char *why = NULL;
	struct csr c;
	char *pem;

	pem = fixture_csr(a, fixture_key("P-256"), NULL, all_sans);
	CHECK_INT(fixture_parse(a, pem, &c, &why), RC_OK);
	CHECK(c.common_name == NULL);
	CHECK_INT(c.subject.len, 2);
	CHECK_INT(c.nsans, ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		CHECK_INT(c.sans[i].type, want[i].type);
		CHECK_STR(c.sans[i].text, want[i].text);
	}
	pem = fixture_simple(a, fixture_key("P-256"), "a.example", NULL);
	CHECK_INT(fixture_parse(a, pem, &c, &why), RC_OK);
	CHECK_INT(c.nsans, 0);
	CHECK_INT(c.nnames, 1);
	CHECK_STR(c.names[0].text, "a.example");
	CHECK_STR(c.common_name, "a.example");
	arena_free(a);
}

/* RC_INVALID, and a reason that contains this. */
static void
refused(struct arena *a, const char *pem, const char *part)
{
	const char *why = NULL;
	struct csr c;

	CHECK_INT(fixture_parse(a, pem, &c, &why), RC_INVALID);
	CHECK(why != NULL);
	if (!strstr(why, part))
		CHECK_STR(why, part);
}

static void
test_keys_refused(void)
{
	static const char *const bad[][2] = {{"RSA:1024", "2048"},
	    {"RSA:2047", "2048"}, {"secp256k1", "unsupported"}};
	struct arena *a = arena_new();

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		refused(a,
		    fixture_simple(a, fixture_key(bad[i][0]), "a.example",
			NULL),
		    bad[i][1]);
	arena_free(a);
}

/* OpenSSL would not put every text into a name: it is put in afterwards, over
 * a placeholder.  The signature is not looked at here. */
static void
cn_refused(struct arena *a, int type, const char *text, const char *part)
{
	char *cn = arena_strdup(a, text);
	const struct fixture_attr subject[] = {{NID_commonName, type, cn}, {0}};
	X509_REQ *req;
	unsigned char *der = NULL, *at;
	int len;

	memset(cn, 'Z', strlen(cn));
	req = fixture_req(fixture_key("P-256"), subject, NULL);
	len = i2d_X509_REQ(req, &der);
	CHECK(len > 0);
	at = memmem(der, (size_t)len, cn, strlen(cn));
	CHECK(at != NULL);
	memcpy(at, text, strlen(text));
	refused(a, fixture_wrap(a, "CERTIFICATE REQUEST", der, (size_t)len),
	    part);
	OPENSSL_free(der);
	X509_REQ_free(req);
}

static void
test_subjects_refused(void)
{
	const struct fixture_attr two[] = {
	    {NID_commonName, V_ASN1_UTF8STRING, "a.example"},
	    {NID_commonName, V_ASN1_UTF8STRING, "b.example"},
	    {0},
	};
	const struct fixture_attr hidden[] = {
	    {NID_commonName, V_ASN1_UTF8STRING, "a.example"},
	    {NID_organizationName, V_ASN1_UTF8STRING,
		"A\xe2\x80\xae"
		"B"},
	    {0},
	};
	const struct fixture_attr nul[] = {{NID_commonName, V_ASN1_UTF8STRING,
					       "a\0b", 3},
	    {0}};
	struct arena *a = arena_new();
	EVP_PKEY *key = fixture_key("P-256");
	char longer[260];

	refused(a, fixture_csr(a, key, two, NULL), "more than one common");
	refused(a, fixture_csr(a, key, hidden, NULL), "bidirectional");
	refused(a, fixture_csr(a, key, nul, NULL), "control");
	refused(a, fixture_csr(a, key, NULL, NULL), "neither");
	cn_refused(a, V_ASN1_UTF8STRING, "a\nb", "control");
	cn_refused(a, V_ASN1_UTF8STRING,
	    "a\x7f"
	    "b",
	    "control");
	cn_refused(a, V_ASN1_UTF8STRING, "ab\xe2\x81\xa6", "bidirectional");
	cn_refused(a, V_ASN1_UTF8STRING, "\xe2\x80\xaa", "bidirectional");
	cn_refused(a, V_ASN1_UTF8STRING, "\xe2\x81\xa0", "zero-width");
	cn_refused(a, V_ASN1_UTF8STRING, "\xe2\x80\x8b", "zero-width");
	cn_refused(a, V_ASN1_UTF8STRING, "\xef\xbb\xbf", "zero-width");
	cn_refused(a, V_ASN1_UTF8STRING, "p\xd0\xb0ypal.example", "mixes");
	cn_refused(a, V_ASN1_UTF8STRING, "\xc3\x28", "UTF-8");
	cn_refused(a, V_ASN1_PRINTABLESTRING, "\xe9t\xe9", "ASCII");
	cn_refused(a, V_ASN1_T61STRING, "a.example", "unsupported");
	cn_refused(a, V_ASN1_BMPSTRING, "ab", "unsupported");
	memset(longer, 'a', 254);
	longer[254] = '\0';
	cn_refused(a, V_ASN1_UTF8STRING, longer, "253");
	/* Whole labels of other letters are no mixture, but no DNS name. */
	cn_refused(a, V_ASN1_UTF8STRING, "\xd0\xbf\xd1\x80\xd0\xb8.example",
	    "must be one of the alternative names");
	cn_refused(a, V_ASN1_UTF8STRING, "Some Device", "must be one of");
	arena_free(a);
}

/* What a certificate carries: each name once, and the common name as one of
 * them. */
static void
test_leaf_names(void)
{
	static const struct fixture_san twice[] = {{GEN_DNS, "A.example"},
	    {GEN_DNS, "a.EXAMPLE"}, {GEN_IPADD, "\x0a\x00\x00\x01", 4},
	    {GEN_DNS, "10.0.0.1.example"}, {GEN_DNS, "a.example"}, {0}};
	static const char *const want[] = {"10.0.0.1", "a.example",
	    "10.0.0.1.example"};
	const struct fixture_attr address[] = {{NID_commonName,
						   V_ASN1_UTF8STRING,
						   "10.0.0.1"},
	    {0}};
	static const struct fixture_san dns[] = {{GEN_DNS, "a.example"}, {0}};
	struct arena *a = arena_new();
	EVP_PKEY *key = fixture_key("P-256");
	const char *why = NULL;
	char name[80];
	struct csr c;

	CHECK_INT(fixture_parse(a, fixture_csr(a, key, address, twice), &c,
		      &why),
	    RC_OK);
	CHECK_STR(c.leaf_common_name, "10.0.0.1");
	CHECK_INT(c.nnames, 3);
	CHECK_STR(c.names[0].text, "a.example");
	CHECK_STR(c.names[1].text, want[0]);
	CHECK_INT(c.names[1].octets.len, 4);
	CHECK_STR(c.names[2].text, want[2]);

	/* Not listed: in front. */
	CHECK_INT(fixture_parse(a, fixture_csr(a, key, address, dns), &c, &why),
	    RC_OK);
	CHECK_INT(c.nnames, 2);
	CHECK_STR(c.names[0].text, want[0]);
	CHECK_INT(c.names[0].type, SAN_IP);
	CHECK_STR(c.names[1].text, want[1]);

	CHECK_INT(fixture_parse(a, fixture_csr(a, key, full_subject, NULL), &c,
		      &why),
	    RC_OK);
	CHECK_STR(c.leaf_common_name, "www.example.com");
	CHECK_INT(c.nnames, 1);

	/* 64 characters fit a common name, 65 do not. */
	memset(name, 'a', sizeof(name));
	name[60] = '.';
	for (size_t len = 64; len <= 65; len++) {
		name[len] = '\0';
		CHECK_INT(fixture_parse(a, fixture_simple(a, key, name, NULL),
			      &c, &why),
		    RC_OK);
		CHECK_INT(c.nnames, 1);
		CHECK_STR(c.names[0].text, name);
		if (len == 64)
			CHECK_STR(c.leaf_common_name, name);
		else
			CHECK(c.leaf_common_name == NULL);
		name[len] = 'a';
	}
	arena_free(a);
}

static void
san_refused(struct arena *a, struct fixture_san s, const char *part)
{
	const struct fixture_san sans[] = {s, {0}};

	refused(a, fixture_csr(a, fixture_key("P-256"), NULL, sans), part);
}

static void
test_sans_refused(void)
{
	static const struct {
		struct fixture_san san;
		const char *part;
	} bad[] = {
	    {{GEN_DNS, "a\0.example", 10}, "control"},
	    {{GEN_DNS, "a b.example"}, "space"},
	    {{GEN_DNS, "\xc3\xa9.example"}, "ASCII"},
	    {{GEN_DNS, "a..example"}, "empty label"},
	    {{GEN_DNS, ".example"}, "empty label"},
	    {{GEN_DNS, "example."}, "empty label"},
	    {{GEN_IPADD, "\x01\x02\x03", 3}, "octets"},
	    {{GEN_EMAIL, "nobody"}, "user@host"},
	    {{GEN_EMAIL, "a@b@c"}, "user@host"},
	    {{GEN_URI, "nothing"}, "scheme"},
	    {{GEN_RID, "1.2.3"}, "unsupported"},
	};
	struct arena *a = arena_new();
	struct fixture_san big = {GEN_DNS, NULL};
	char longer[300];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		san_refused(a, bad[i].san, bad[i].part);
	memset(longer, 'a', sizeof(longer));
	longer[64] = '\0';
	big.bytes = longer;
	san_refused(a, big, "63");
	for (size_t i = 0; i < 254; i++)
		longer[i] = i % 10 == 9 ? '.' : 'a';
	longer[254] = '\0';
	san_refused(a, big, "too long");
	arena_free(a);
}

/* A request for a.example with these beside; the signature is not looked at. */
static char *
with_extensions(struct arena *a, const struct fixture_ext *list)
{
	X509_REQ *req = fixture_req(fixture_key("P-256"), NULL, NULL);
	STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();
	char *pem;

	for (; list->value; list++) {
		X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, NULL, list->nid,
		    (char *)list->value);

		CHECK(x != NULL);
		CHECK(sk_X509_EXTENSION_push(exts, x) > 0);
	}
	CHECK_INT(X509_REQ_add_extensions(req, exts), 1);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	pem = fixture_pem(a, req);
	X509_REQ_free(req);
	return pem;
}

#define OF_A \
	{ \
		NID_subject_alt_name, "DNS:a.example" \
	}

static void
test_extensions(void)
{
	static const struct {
		struct fixture_ext list[4];
		const char *part; /* NULL: it is taken */
	} cases[] = {
	    {{OF_A, {NID_basic_constraints, "critical,CA:FALSE"}}, NULL},
	    {{OF_A, {NID_key_usage, "digitalSignature,keyAgreement"}}, NULL},
	    {{OF_A, {NID_key_usage, "decipherOnly"}}, NULL},
	    {{OF_A, {NID_ext_key_usage, "serverAuth"}}, NULL},
	    {{OF_A, {NID_basic_constraints, "CA:TRUE"}}, "CA:TRUE"},
	    {{{NID_basic_constraints, "CA:TRUE,pathlen:0"}, OF_A}, "CA:TRUE"},
	    {{OF_A, {NID_key_usage, "keyCertSign"}}, "keyCertSign"},
	    {{OF_A, {NID_key_usage, "digitalSignature,cRLSign"}}, "cRLSign"},
	    {{OF_A, {NID_basic_constraints, "DER:3003010105"}}, "not a DER"},
	    {{OF_A, {NID_basic_constraints, "DER:30000500"}}, "not a DER"},
	    {{OF_A, {NID_key_usage, "DER:03020904"}}, "not a DER"},
	    {{OF_A, {NID_key_usage, "DER:0500"}}, "not a DER"},
	    {{OF_A, OF_A}, "twice"},
	    {{{NID_key_usage, "keyAgreement"}, OF_A,
		 {NID_key_usage, "keyAgreement"}},
		"twice"},
	};
	struct arena *a = arena_new();
	const char *why = NULL;
	struct csr c;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *pem = with_extensions(a, cases[i].list);

		if (cases[i].part)
			refused(a, pem, cases[i].part);
		else
			CHECK_INT(fixture_parse(a, pem, &c, &why), RC_OK);
	}
	arena_free(a);
}

static void
test_san_count(void)
{
	struct fixture_san sans[CSR_NAMES_MAX + 2] = {0};
	struct arena *a = arena_new();
	EVP_PKEY *key = fixture_key("P-256");
	const char *why = NULL;
	struct csr c;

	for (int i = 0; i <= CSR_NAMES_MAX; i++) {
		sans[i].type = GEN_DNS;
		sans[i].bytes = arena_printf(a, "h%d.example", i);
	}
	refused(a, fixture_csr(a, key, NULL, sans), "more than 101");
	sans[CSR_NAMES_MAX].bytes = NULL;
	CHECK_INT(fixture_parse(a, fixture_csr(a, key, NULL, sans), &c, &why),
	    RC_OK);
	CHECK_INT(c.nsans, CSR_NAMES_MAX);
	CHECK_STR(c.sans[99].text, "h99.example");
	sans[0].bytes = NULL;
	refused(a, fixture_csr(a, key, full_subject, sans), "empty");
	arena_free(a);
}

static void
test_pem_forms(void)
{
	struct arena *a = arena_new();
	EVP_PKEY *key = fixture_key("P-256");
	char *pem = fixture_simple(a, key, "a.example", "a.example");
	char *big = arena_alloc(a, CSR_PEM_MAX + 2);
	const char *why = NULL;
	struct csr c, d;

	CHECK_INT(fixture_parse(a, pem, &c, &why), RC_OK);
	CHECK_INT(fixture_parse(a,
		      arena_printf(a, "\xef\xbb\xbf \r\n%s \r\n", pem), &d,
		      &why),
	    RC_OK);
	CHECK(span_equal(c.der, d.der));
	refused(a, arena_printf(a, "Some text\n%s", pem), "in front");
	refused(a,
	    arena_printf(a, "%s%s",
		fixture_wrap(a, "PRIVATE KEY", (const uint8_t *)"x", 1), pem),
	    "never a private key");
	CHECK_INT(fixture_parse(a,
		      fixture_wrap(a, "NEW CERTIFICATE REQUEST", c.der.p,
			  c.der.len),
		      &d, &why),
	    RC_OK);
	CHECK(span_equal(c.der, d.der));
	refused(a, "", "not PEM");
	refused(a, "hello", "not PEM");
	refused(a, arena_printf(a, "%sx", pem), "followed");
	refused(a, arena_printf(a, "%s%s", pem, pem), "followed");
	refused(a, fixture_wrap(a, "CERTIFICATE", c.der.p, c.der.len),
	    "not PEM");
	pem[strlen(pem) - 20] = '!';
	refused(a, pem, "not PEM");
	memset(big, ' ', CSR_PEM_MAX + 1);
	CHECK_INT(csr_parse(a, big, CSR_PEM_MAX + 1, &c, &why), RC_INVALID);
	CHECK_STR(why, "the request is longer than 49152 bytes");
	arena_free(a);
}

/* Whatever one changed, added or lost octet makes of a request: it is not
 * parsed, or does not verify. */
static void
test_mutations(void)
{
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		struct arena *a = arena_new();
		char *pem = fixture_simple(a, fixture_key(kinds[k]),
		    "a.example", "b.example");
		const char *why = NULL;
		struct csr c, d;
		uint8_t *der;

		CHECK_INT(fixture_parse(a, pem, &c, &why), RC_OK);
		der = arena_alloc(a, c.der.len + 1);
		memcpy(der, c.der.p, c.der.len);
		refused(a,
		    fixture_wrap(a, "CERTIFICATE REQUEST", der, c.der.len + 1),
		    "PKCS#10");
		refused(a,
		    fixture_wrap(a, "CERTIFICATE REQUEST", der, c.der.len - 1),
		    "PKCS#10");
		for (size_t i = 0; i < c.der.len; i++) {
			struct arena *b = arena_new();

			der[i] ^= (uint8_t)(1u << i % 8);
			pem = fixture_wrap(b, "CERTIFICATE REQUEST", der,
			    c.der.len);
			if (fixture_parse(b, pem, &d, &why) == RC_OK)
				CHECK_INT(csr_verify(&d), RC_INVALID);
			der[i] = c.der.p[i];
			arena_free(b);
		}
		arena_free(a);
	}
}

/* A point that is not on its curve must not get to the verification, which
 * keeps one key object per curve. */
static void
test_point_off_curve(void)
{
	struct arena *a = arena_new();
	char *pem = fixture_simple(a, fixture_key("P-256"), "a.example", NULL);
	const char *why = NULL;
	struct csr c, d;
	uint8_t *der;
	size_t at;

	CHECK_INT(fixture_parse(a, pem, &c, &why), RC_OK);
	CHECK_INT(csr_verify(&c), RC_OK);
	der = arena_alloc(a, c.der.len);
	memcpy(der, c.der.p, c.der.len);
	at = (size_t)(c.spki.p - c.der.p) + c.spki.len - 1;
	der[at] ^= 1;
	CHECK_INT(fixture_parse(a,
		      fixture_wrap(a, "CERTIFICATE REQUEST", der, c.der.len),
		      &d, &why),
	    RC_OK);
	CHECK_INT(csr_verify(&d), RC_INVALID);
	CHECK_INT(csr_verify(&c), RC_OK);
	arena_free(a);
}

/* Requests of several keys in turn through the same key objects. */
static void
test_verify_in_turn(void)
{
	struct arena *a = arena_new();
	const char *why = NULL;
	struct csr c[2], mixed;
	EVP_PKEY *other = EVP_EC_gen("P-256");

	CHECK(other != NULL);
	CHECK_INT(fixture_parse(a,
		      fixture_simple(a, fixture_key("P-256"), "a.example",
			  NULL),
		      &c[0], &why),
	    RC_OK);
	CHECK_INT(fixture_parse(a, fixture_simple(a, other, "a.example", NULL),
		      &c[1], &why),
	    RC_OK);
	for (int i = 0; i < 4; i++)
		CHECK_INT(csr_verify(&c[i % 2]), RC_OK);
	mixed = c[0];
	mixed.sig = c[1].sig;
	CHECK_INT(csr_verify(&mixed), RC_INVALID);
	EVP_PKEY_free(other);
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(test_fields), CHECK_ROW(test_names),
    CHECK_ROW(test_keys_refused), CHECK_ROW(test_subjects_refused),
    CHECK_ROW(test_leaf_names), CHECK_ROW(test_sans_refused),
    CHECK_ROW(test_extensions), CHECK_ROW(test_san_count),
    CHECK_ROW(test_pem_forms), CHECK_ROW(test_mutations),
    CHECK_ROW(test_point_off_curve), CHECK_ROW(test_verify_in_turn))
