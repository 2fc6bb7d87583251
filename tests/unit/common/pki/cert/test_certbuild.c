/*
 * Leaves from the template, read back and verified by OpenSSL.
 */
#include "common/pki/cert/certbuild.h"

#include <openssl/x509v3.h>

#include "common/base/attr.h"
#include "common/pki/cert/cert.h"
#include "tests/unit/check.h"
#include "tests/unit/common/pki/cert/leaf_rig.h"

static const char *const server[] = {"serverAuth", NULL};

/* The value of an extension; empty when it is not there. */
static struct span
ext_value(X509 *x, int nid, int *out_critical)
{
	int at = X509_get_ext_by_NID(x, nid, -1);
	X509_EXTENSION *ext = at < 0 ? NULL : X509_get_ext(x, at);
	ASN1_OCTET_STRING *v;

	*out_critical = 0;
	if (!ext)
		return (struct span){NULL, 0};
	CHECK_INT(X509_get_ext_by_NID(x, nid, at), -1);
	*out_critical = X509_EXTENSION_get_critical(ext);
	v = X509_EXTENSION_get_data(ext);
	return (struct span){ASN1_STRING_get0_data(v),
	    (size_t)ASN1_STRING_length(v)};
}

static bool
ext_is(X509 *x, int nid, int critical, const char *hex)
{
	struct span v;
	char *text;
	int got;
	bool same;

	v = ext_value(x, nid, &got);
	text = OPENSSL_buf2hexstr(v.p, (long)v.len);
	same = got == critical && text && strcmp(text, hex) == 0;
	if (!same)
		printf("  nid %d: %s, critical %d\n", nid, text ? text : "-",
		    got);
	OPENSSL_free(text);
	return same;
}

static void
check_key_ids(struct env *e)
{
	const ASN1_OCTET_STRING *aki = X509_get0_authority_key_id(e->leaf);
	const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(e->leaf);
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len;

	CHECK(ASN1_OCTET_STRING_cmp(aki, X509_get0_subject_key_id(e->ca)) == 0);
	CHECK_INT(X509_pubkey_digest(e->leaf, EVP_sha1(), digest, &len), 1);
	CHECK_INT(ASN1_STRING_length(ski), 20);
	CHECK(memcmp(ASN1_STRING_get0_data(ski), digest, 20) == 0);
}

static void
check_fields(struct env *e, const char *ca_kind)
{
	EVP_PKEY *ca_key = fixture_key(ca_kind);
	struct cert_info info;
	unsigned char *der = NULL;
	int len, want = NID_ecdsa_with_SHA256;

	if (EVP_PKEY_is_a(ca_key, "RSA"))
		want = NID_sha256WithRSAEncryption;
	else if (EVP_PKEY_get_bits(ca_key) == 384)
		want = NID_ecdsa_with_SHA384;
	CHECK_INT(X509_get_signature_nid(e->leaf), want);
	CHECK_INT(OBJ_obj2nid(X509_get0_tbs_sigalg(e->leaf)->algorithm), want);
	CHECK_INT(X509_get_version(e->leaf), X509_VERSION_3);
	CHECK_INT(X509_NAME_cmp(X509_get_issuer_name(e->leaf),
		      X509_get_subject_name(e->ca)),
	    0);
	CHECK_INT(cert_read(e->a, e->leaf, &info), RC_OK);
	CHECK_STR(info.serial_hex, SERIAL);
	CHECK_INT(info.not_before_unix, FROM);
	CHECK_INT(info.not_after_unix, TO);
	CHECK_STR(info.common_name, "www.example.com");
	CHECK_STR(info.issuer_dn, "CN=Test CA");
	CHECK(!info.is_ca);
	len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(e->leaf), &der);
	CHECK(len > 0 &&
	      span_equal(e->csr.spki, (struct span){der, (size_t)len}));
	OPENSSL_free(der);
	CHECK(ext_is(e->leaf, NID_subject_alt_name, 0,
	    "30:11:82:0F:77:77:77:2E:65:78:61:6D:70:6C:65:2E:63:6F:6D"));
	CHECK(ext_is(e->leaf, NID_basic_constraints, 1, "30:00"));
	check_key_ids(e);
}

static void
test_leaf(void)
{
	static const char *const kinds[] = {"P-256", "P-384", "RSA:2048"};
	static const char *const subjects[] = {"P-256", "P-384", "RSA:2048",
	    "ED25519"};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		for (size_t k = 0; k < ARRAY_LEN(subjects); k++) {
			struct env e;

			env_start(&e, kinds[i]);
			env_csr(&e,
			    fixture_simple(e.a, fixture_key(subjects[k]),
				"www.example.com", "www.example.com"));
			env_issue(&e);
			check_fields(&e, kinds[i]);
			CHECK_INT(verify_at(&e, FROM + 1,
				      X509_PURPOSE_SSL_SERVER),
			    X509_V_OK);
			CHECK_INT(verify_at(&e, FROM + 1,
				      X509_PURPOSE_SSL_CLIENT),
			    X509_V_OK);
			CHECK_INT(verify_at(&e, FROM - 1,
				      X509_PURPOSE_SSL_SERVER),
			    X509_V_ERR_CERT_NOT_YET_VALID);
			CHECK_INT(X509_check_host(e.leaf, "www.example.com", 0,
				      0, NULL),
			    1);
			env_stop(&e);
		}
	}
}

static void
test_usages(void)
{
	static const char *const email[] = {"emailProtection", NULL};
	static const char *const all[] = {"timeStamping", "emailProtection",
	    "codeSigning", "clientAuth", "serverAuth", "clientAuth", NULL};
	static const char *const stamp[] = {"timeStamping", NULL};
	static const char *const none[] = {NULL};
	static const struct {
		const char *key;
		const char *const *ekus;
		const char *usage;
		const char *eku;
		int critical;
	} rows[] = {
	    {"P-256", server, "03:02:07:80",
		"30:0A:06:08:2B:06:01:05:05:07:03:01", 0},
	    {"RSA:2048", server, "03:02:05:A0",
		"30:0A:06:08:2B:06:01:05:05:07:03:01", 0},
	    {"P-256", email, "03:02:06:C0",
		"30:0A:06:08:2B:06:01:05:05:07:03:04", 0},
	    {"RSA:2048", email, "03:02:06:C0",
		"30:0A:06:08:2B:06:01:05:05:07:03:04", 0},
	    {"P-256", stamp, "03:02:07:80",
		"30:0A:06:08:2B:06:01:05:05:07:03:08", 1},
	    {"RSA:2048", all, "03:02:05:E0",
		"30:32:06:08:2B:06:01:05:05:07:03:01"
		":06:08:2B:06:01:05:05:07:03:02"
		":06:08:2B:06:01:05:05:07:03:03"
		":06:08:2B:06:01:05:05:07:03:04"
		":06:08:2B:06:01:05:05:07:03:08",
		0},
	    {"P-256", none, "03:02:07:80",
		"30:14:06:08:2B:06:01:05:05:07:03:01"
		":06:08:2B:06:01:05:05:07:03:02",
		0},
	    {"P-256", NULL, "03:02:07:80",
		"30:14:06:08:2B:06:01:05:05:07:03:01"
		":06:08:2B:06:01:05:05:07:03:02",
		0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct env e;

		env_start(&e, "P-256");
		env_csr(&e, fixture_simple(e.a, fixture_key(rows[i].key),
				"a.example", NULL));
		e.spec.ekus = rows[i].ekus;
		env_issue(&e);
		CHECK(ext_is(e.leaf, NID_key_usage, 1, rows[i].usage));
		CHECK(ext_is(e.leaf, NID_ext_key_usage, rows[i].critical,
		    rows[i].eku));
		env_stop(&e);
	}
}

static void
test_optional_extensions(void)
{
	static const char *const urls[] = {"http://crl.example/a.crl",
	    "http://b.example/b.crl", NULL};
	struct env e;
	CRL_DIST_POINTS *points;
	DIST_POINT *point;
	GENERAL_NAME *name;
	int critical;

	env_start(&e, "P-256");
	env_csr(&e, fixture_simple(e.a, fixture_key("P-256"), "a.example",
			"a.example"));
	env_issue(&e);
	CHECK_INT(ext_value(e.leaf, NID_tlsfeature, &critical).len, 0);
	CHECK_INT(ext_value(e.leaf, NID_crl_distribution_points, &critical).len,
	    0);
	e.spec.must_staple = true;
	e.spec.crl_urls = urls;
	env_issue(&e);
	CHECK(ext_is(e.leaf, NID_tlsfeature, 0, "30:03:02:01:05"));
	points = X509_get_ext_d2i(e.leaf, NID_crl_distribution_points,
	    &critical, NULL);
	CHECK(points != NULL && critical == 0);
	CHECK_INT(sk_DIST_POINT_num(points), 2);
	for (int i = 0; i < 2; i++) {
		point = sk_DIST_POINT_value(points, i);
		name =
		    sk_GENERAL_NAME_value(point->distpoint->name.fullname, 0);
		CHECK_INT(name->type, GEN_URI);
		CHECK_STR((const char *)ASN1_STRING_get0_data(name->d.ia5),
		    urls[i]);
	}
	CRL_DIST_POINTS_free(points);
	CHECK_INT(verify_at(&e, FROM, X509_PURPOSE_SSL_SERVER), X509_V_OK);
	env_stop(&e);
}

/* RFC 5280 section 4.2.2.1. */
static void
test_where_ocsp_answers(void)
{
	static const char *const urls[] = {"http://a.example/ocsp/iss-1",
	    "http://b.example/", NULL};
	static const char *const bad[] = {"a.example", NULL};
	AUTHORITY_INFO_ACCESS *access;
	struct span tbs;
	struct env e;
	int critical;

	env_start(&e, "P-256");
	env_csr(&e, fixture_simple(e.a, fixture_key("P-256"), "a.example",
			"a.example"));
	env_issue(&e);
	CHECK_INT(ext_value(e.leaf, NID_info_access, &critical).len, 0);
	e.spec.ocsp_urls = urls;
	e.spec.crl_urls = urls;
	env_issue(&e);
	access = X509_get_ext_d2i(e.leaf, NID_info_access, &critical, NULL);
	CHECK(access != NULL && critical == 0);
	CHECK_INT(sk_ACCESS_DESCRIPTION_num(access), 2);
	for (int i = 0; i < 2; i++) {
		ACCESS_DESCRIPTION *one =
		    sk_ACCESS_DESCRIPTION_value(access, i);

		CHECK_INT(OBJ_obj2nid(one->method), NID_ad_OCSP);
		CHECK_INT(one->location->type, GEN_URI);
		CHECK_STR((const char *)ASN1_STRING_get0_data(
			      one->location->d.ia5),
		    urls[i]);
	}
	AUTHORITY_INFO_ACCESS_free(access);
	CHECK_INT(verify_at(&e, FROM, X509_PURPOSE_SSL_SERVER), X509_V_OK);
	e.spec.ocsp_urls = bad;
	CHECK_INT(certbuild_tbs(e.b, e.a, &e.spec, &tbs), RC_INVALID);
	env_stop(&e);
}

/* RFC 5280 section 4.2.1.6. */
static void
test_empty_subject(void)
{
	static const struct fixture_san sans[] = {{GEN_DNS, "a.example"}, {0}};
	struct env e;

	env_start(&e, "P-256");
	env_csr(&e, fixture_csr(e.a, fixture_key("P-256"), NULL, sans));
	env_issue(&e);
	CHECK(ext_is(e.leaf, NID_subject_alt_name, 1,
	    "30:0B:82:09:61:2E:65:78:61:6D:70:6C:65"));
	CHECK_INT(X509_NAME_entry_count(X509_get_subject_name(e.leaf)), 0);
	CHECK_INT(verify_at(&e, FROM, X509_PURPOSE_SSL_SERVER), X509_V_OK);
	env_stop(&e);
}

static void
check_subject(struct env *e, const char *want)
{
	const X509_NAME *name = X509_get_subject_name(e->leaf);
	const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, 0);
	const ASN1_STRING *text = X509_NAME_ENTRY_get_data(entry);

	CHECK_INT(X509_NAME_entry_count(name), 1);
	CHECK_INT(OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)),
	    NID_commonName);
	CHECK_INT(ASN1_STRING_type(text), V_ASN1_UTF8STRING);
	CHECK_STR((const char *)ASN1_STRING_get0_data(text), want);
}

/* Whatever else a request says of its subject is the requester's word: with
 * O=system:masters and clientAuth it is an administrator of a Kubernetes. */
static void
test_foreign_subject(void)
{
	static const struct fixture_attr subject[] = {
	    {NID_organizationName, V_ASN1_UTF8STRING, "system:masters"},
	    {NID_organizationalUnitName, V_ASN1_UTF8STRING, "Root"},
	    {NID_userId, V_ASN1_UTF8STRING, "0"},
	    {NID_pkcs9_emailAddress, V_ASN1_IA5STRING, "root@a.example"},
	    {NID_countryName, V_ASN1_PRINTABLESTRING, "DE"},
	    {NID_commonName, V_ASN1_PRINTABLESTRING, "Host-1.example"},
	    {0},
	};
	static const struct fixture_san sans[] = {{GEN_DNS, "b.example"},
	    {GEN_DNS, "B.example"}, {0}};
	struct env e;

	env_start(&e, "P-256");
	env_csr(&e, fixture_csr(e.a, fixture_key("P-256"), subject, sans));
	env_issue(&e);
	check_subject(&e, "host-1.example");
	CHECK(ext_is(e.leaf, NID_subject_alt_name, 0,
	    "30:1B:82:0E:68:6F:73:74:2D:31:2E:65:78:61:6D:70:6C:65:82:09:62:"
	    "2E:65:78:61:6D:70:6C:65"));
	CHECK_INT(verify_at(&e, FROM, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
	env_stop(&e);
}

/* A request as some devices write it; the signature's identifier is not
 * signed. */
static char *
rsa_without_null(struct arena *a, EVP_PKEY *key, const char *dns)
{
	const struct fixture_san sans[] = {{GEN_DNS, dns}, {0}};
	X509_REQ *req = fixture_req(key, NULL, sans);
	X509_ALGOR *alg;
	const X509_ALGOR *sig_alg;
	char *pem;

	X509_PUBKEY_get0_param(NULL, NULL, NULL, &alg,
	    X509_REQ_get_X509_PUBKEY(req));
	CHECK_INT(X509_ALGOR_set0(alg, OBJ_nid2obj(NID_rsaEncryption),
		      V_ASN1_UNDEF, NULL),
	    1);
	CHECK(X509_REQ_sign(req, key, EVP_sha256()) > 0);
	X509_REQ_get0_signature(req, NULL, &sig_alg);
	CHECK_INT(X509_ALGOR_set0((X509_ALGOR *)(uintptr_t)sig_alg,
		      OBJ_nid2obj(NID_sha256WithRSAEncryption), V_ASN1_UNDEF,
		      NULL),
	    1);
	pem = fixture_pem(a, req);
	X509_REQ_free(req);
	return pem;
}

/* The identifiers of a request's key and signature without their NULL
 * (RFC 4055 sections 1.2 and 2.1): accepted, and mended in the leaf. */
static void
test_rsa_without_null(void)
{
	EVP_PKEY *key = fixture_key("RSA:2048");
	struct env e;
	struct csr whole;

	env_start(&e, "P-256");
	env_csr(&e, fixture_simple(e.a, key, "a.example", NULL));
	whole = e.csr;
	env_csr(&e, rsa_without_null(e.a, key, "a.example"));
	CHECK_INT(csr_verify(&e.csr), RC_OK);
	CHECK_INT(e.csr.spki.len, whole.spki.len - 2);
	CHECK(span_equal(e.csr.leaf_spki, whole.spki));
	CHECK_INT(e.csr.sig_alg.len, whole.sig_alg.len - 2);
	env_issue(&e);
	CHECK_INT(cert_match_key(e.leaf, key), RC_OK);
	CHECK_INT(verify_at(&e, FROM, X509_PURPOSE_SSL_SERVER), X509_V_OK);
	env_stop(&e);
}

static void
check_time(struct env *e, int64_t when, int type, const char *text)
{
	const ASN1_TIME *t;

	e->spec.not_after_unix = when;
	env_issue(e);
	t = X509_get0_notAfter(e->leaf);
	CHECK_INT(ASN1_STRING_type(t), type);
	CHECK_STR((const char *)ASN1_STRING_get0_data(t), text);
}

static void
test_times(void)
{
	struct env e;
	struct span tbs;

	env_start(&e, "P-256");
	env_csr(&e,
	    fixture_simple(e.a, fixture_key("P-256"), "a.example", NULL));
	check_time(&e, 2524607999, V_ASN1_UTCTIME, "491231235959Z");
	check_time(&e, 2524608000, V_ASN1_GENERALIZEDTIME, "20500101000000Z");
	check_time(&e, 253402300799, V_ASN1_GENERALIZEDTIME, "99991231235959Z");
	e.spec.not_after_unix = 253402300800;
	CHECK_INT(certbuild_tbs(e.b, e.a, &e.spec, &tbs), RC_INVALID);
	e.spec.not_after_unix = FROM;
	CHECK_INT(certbuild_tbs(e.b, e.a, &e.spec, &tbs), RC_INVALID);
	e.spec.not_before_unix = -631152001; /* 1949 */
	CHECK_INT(certbuild_tbs(e.b, e.a, &e.spec, &tbs), RC_INVALID);
	e.spec.not_before_unix = INT64_MIN;
	CHECK_INT(certbuild_tbs(e.b, e.a, &e.spec, &tbs), RC_INVALID);
	e.spec.not_before_unix = -631152000; /* 1950 */
	check_time(&e, 951782400, V_ASN1_UTCTIME, "000229000000Z");
	CHECK_STR((const char *)ASN1_STRING_get0_data(
		      X509_get0_notBefore(e.leaf)),
	    "500101000000Z");
	env_stop(&e);
}

static void
test_serials(void)
{
	static const char *const good[] = {
	    "0000000000000000000000000000000000000001",
	    "0000000000000000000000000000000000000080",
	    "00000000000000000000000000000000000000ff",
	    "00ffffffffffffffffffffffffffffffffffffff",
	    "007fffffffffffffffffffffffffffffffffffff",
	    "7fffffffffffffffffffffffffffffffffffffff",
	    "00000000deadbeef00000000000000000000cafe",
	};
	static const char *const bad[] = {"", "1",
	    "0000000000000000000000000000000000000000",
	    "8000000000000000000000000000000000000000",
	    "000000000000000000000000000000000000000g",
	    "00000000000000000000000000000000000000010"};
	struct env e;
	struct span tbs;
	char hex[41];

	env_start(&e, "P-256");
	env_csr(&e,
	    fixture_simple(e.a, fixture_key("P-256"), "a.example", NULL));
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		e.spec.serial_hex = good[i];
		env_issue(&e); /* compares with OpenSSL's encoding */
		CHECK_INT(cert_serial_hex(X509_get0_serialNumber(e.leaf), hex),
		    RC_OK);
		CHECK_STR(hex, good[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		e.spec.serial_hex = bad[i];
		CHECK_INT(certbuild_tbs(e.b, e.a, &e.spec, &tbs), RC_INVALID);
	}
	env_stop(&e);
}

static void
test_same_bytes(void)
{
	static const char *const turned[] = {"clientAuth", "serverAuth",
	    "serverAuth", NULL};
	struct certbuild *again = NULL;
	struct span one, two;
	struct env e;

	env_start(&e, "P-256");
	env_csr(&e, fixture_simple(e.a, fixture_key("RSA:2048"), "a.example",
			"a.example"));
	CHECK_INT(certbuild_tbs(e.b, e.a, &e.spec, &one), RC_OK);
	CHECK_INT(certbuild_tbs(e.b, e.a, &e.spec, &two), RC_OK);
	CHECK(span_equal(one, two));
	e.spec.ekus = turned;
	CHECK_INT(certbuild_new(e.ca, fixture_key("P-256"), &again), RC_OK);
	CHECK_INT(certbuild_tbs(again, e.a, &e.spec, &two), RC_OK);
	CHECK(span_equal(one, two));
	e.spec.not_after_unix++;
	CHECK_INT(certbuild_tbs(again, e.a, &e.spec, &two), RC_OK);
	CHECK(!span_equal(one, two));
	certbuild_free(again);
	env_stop(&e);
}

static void
test_bad_specs(void)
{
	static const char *const unknown[] = {"serverAuth", "ocspSigning",
	    NULL};
	static const char *const bad_urls[][2] = {{"", NULL},
	    {"crl.example", NULL}, {"http://a b", NULL},
	    {"http://\xc3\xa9/", NULL}};
	const char *many[] = {"http://1", "http://2", "http://3", "http://4",
	    "http://5", "http://6", "http://7", "http://8", NULL, NULL};
	struct env e;
	struct span tbs;

	env_start(&e, "P-256");
	env_csr(&e,
	    fixture_simple(e.a, fixture_key("P-256"), "a.example", NULL));
	e.spec.ekus = unknown;
	CHECK_INT(certbuild_tbs(e.b, e.a, &e.spec, &tbs), RC_INVALID);
	e.spec.ekus = server;
	for (size_t i = 0; i < ARRAY_LEN(bad_urls); i++) {
		e.spec.crl_urls = bad_urls[i];
		CHECK_INT(certbuild_tbs(e.b, e.a, &e.spec, &tbs), RC_INVALID);
	}
	e.spec.crl_urls = many;
	env_issue(&e);
	many[8] = "http://9";
	CHECK_INT(certbuild_tbs(e.b, e.a, &e.spec, &tbs), RC_INVALID);
	env_stop(&e);
}

/* The largest request and the longest URLs fit the room reckoned for them. */
static void
test_room(void)
{
	struct fixture_san sans[CSR_NAMES_MAX + 1] = {0};
	char url[1025] = "http://";
	const char *urls[] = {url, url, url, url, url, url, url, url, NULL};
	struct env e;

	memset(url + 7, 'u', 1017);
	env_start(&e, "RSA:2048");
	for (int i = 0; i < CSR_NAMES_MAX; i++) {
		sans[i].type = GEN_DNS;
		sans[i].bytes = arena_printf(e.a, "host-%050d.example", i);
	}
	env_csr(&e, fixture_csr(e.a, fixture_key("RSA:3072"), NULL, sans));
	e.spec.crl_urls = urls;
	e.spec.must_staple = true;
	env_issue(&e);
	CHECK_INT(verify_at(&e, FROM, X509_PURPOSE_SSL_SERVER), X509_V_OK);
	env_stop(&e);
}

CHECK_MAIN(CHECK_ROW(test_leaf), CHECK_ROW(test_usages),
    CHECK_ROW(test_optional_extensions), CHECK_ROW(test_where_ocsp_answers),
    CHECK_ROW(test_empty_subject), CHECK_ROW(test_foreign_subject),
    CHECK_ROW(test_rsa_without_null), CHECK_ROW(test_times),
    CHECK_ROW(test_serials), CHECK_ROW(test_same_bytes),
    CHECK_ROW(test_bad_specs), CHECK_ROW(test_room))
