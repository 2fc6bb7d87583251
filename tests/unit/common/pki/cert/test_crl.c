/*
 * Revocation lists, read back and verified by OpenSSL.
 */
#include "common/pki/cert/crl.h"

#include <openssl/x509v3.h>
#include <string.h>

#include "tests/unit/check.h"
#include "tests/unit/common/pki/fixture.h"

#define NOW 1800000000 /* 2027-01-15 */

static const struct fixture_ext ca_exts[] = {
    {NID_basic_constraints, "critical,CA:TRUE"},
    {NID_key_usage, "critical,keyCertSign,cRLSign"},
    {NID_subject_key_identifier, "hash"},
    {0},
};
static const struct fixture_ext no_crl_exts[] = {
    {NID_basic_constraints, "critical,CA:TRUE"},
    {NID_key_usage, "critical,keyCertSign"},
    {0},
};

struct env {
	struct arena *a;
	X509 *ca;
	EVP_PKEY *key;
	struct certbuild *b;
	struct crl_spec spec;
};

static void
env_start(struct env *e, const char *kind, const struct fixture_ext *exts)
{
	*e = (struct env){.a = arena_new(), .key = fixture_key(kind)};
	e->ca = fixture_ca(e->key, "Test CA", exts);
	CHECK_INT(certbuild_new(e->ca, e->key, &e->b), RC_OK);
	e->spec = (struct crl_spec){.number = 7,
	    .this_update_unix = NOW,
	    .next_update_unix = NOW + 86400};
}

static void
env_stop(struct env *e)
{
	certbuild_free(e->b);
	X509_free(e->ca);
	arena_free(e->a);
}

/* Made, parsed whole, verified, and encoded again to the same bytes. */
static X509_CRL *
make(struct env *e)
{
	struct span tbs, der;
	const uint8_t *p;
	uint8_t *again = NULL;
	X509_CRL *crl;
	int len;

	CHECK_INT(crl_tbs(e->b, e->a, &e->spec, &tbs), RC_OK);
	CHECK_INT(certbuild_sign(e->b, e->a, tbs, &der), RC_OK);
	p = der.p;
	crl = d2i_X509_CRL(NULL, &p, (long)der.len);
	CHECK(crl != NULL);
	CHECK(p == der.p + der.len);
	CHECK_INT(X509_CRL_verify(crl, X509_get0_pubkey(e->ca)), 1);
	/* Without what was read: OpenSSL writes it anew, sorted. */
	CHECK_INT(X509_CRL_sort(crl), 1);
	len = i2d_re_X509_CRL_tbs(crl, &again);
	CHECK_INT(len, (int)tbs.len);
	CHECK(memcmp(again, tbs.p, tbs.len) == 0);
	OPENSSL_free(again);
	return crl;
}

static void
check_time(const ASN1_TIME *t, int64_t unix_time)
{
	CHECK_INT(ASN1_TIME_cmp_time_t(t, (time_t)unix_time), 0);
}

static void
test_empty(void)
{
	struct env e;
	X509_CRL *crl;
	ASN1_INTEGER *number;
	AUTHORITY_KEYID *aki;

	env_start(&e, "P-256", ca_exts);
	crl = make(&e);
	CHECK_INT(X509_CRL_get_version(crl), X509_CRL_VERSION_2);
	CHECK(X509_CRL_get_REVOKED(crl) == NULL);
	check_time(X509_CRL_get0_lastUpdate(crl), NOW);
	check_time(X509_CRL_get0_nextUpdate(crl), NOW + 86400);
	CHECK_INT(X509_NAME_cmp(X509_CRL_get_issuer(crl),
		      X509_get_subject_name(e.ca)),
	    0);
	number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
	CHECK_INT(ASN1_INTEGER_get(number), 7);
	aki =
	    X509_CRL_get_ext_d2i(crl, NID_authority_key_identifier, NULL, NULL);
	CHECK_INT(ASN1_OCTET_STRING_cmp(aki->keyid,
		      X509_get0_subject_key_id(e.ca)),
	    0);
	AUTHORITY_KEYID_free(aki);
	ASN1_INTEGER_free(number);
	X509_CRL_free(crl);
	env_stop(&e);
}

static int
reason_of(X509_REVOKED *r)
{
	ASN1_ENUMERATED *x =
	    X509_REVOKED_get_ext_d2i(r, NID_crl_reason, NULL, NULL);
	int reason = x ? (int)ASN1_ENUMERATED_get(x) : -1;

	ASN1_ENUMERATED_free(x);
	return reason;
}

static void
test_entries(void)
{
	/* One octet; one whose top bit is set; twenty with the top bit set. */
	static const struct crl_entry entries[] = {
	    {{[19] = 0x05}, 0, NOW - 10},
	    {{[18] = 0x80, [19] = 0x01}, 1, NOW - 20},
	    {{[0] = 0x50, [19] = 0x01}, 6, 2524608000}, /* 2050 */
	    {{[0] = 0xff, [19] = 0xff}, 9, NOW - 30},
	};
	static const int reasons[] = {-1, 1, 6, 9};
	struct env e;
	X509_CRL *crl;
	STACK_OF(X509_REVOKED) * revoked;

	env_start(&e, "RSA:2048", ca_exts);
	e.spec.entries = entries;
	e.spec.n = ARRAY_LEN(entries);
	/* Of a number of eight octets, as a sign bit would be set in it. */
	e.spec.number = INT64_MAX;
	crl = make(&e);
	revoked = X509_CRL_get_REVOKED(crl);
	CHECK_INT(sk_X509_REVOKED_num(revoked), (int)ARRAY_LEN(entries));
	for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
		X509_REVOKED *r = sk_X509_REVOKED_value(revoked, (int)i);
		BIGNUM *n =
		    ASN1_INTEGER_to_BN(X509_REVOKED_get0_serialNumber(r), NULL);
		uint8_t bytes[20];

		CHECK_INT(BN_bn2binpad(n, bytes, 20), 20);
		CHECK(memcmp(bytes, entries[i].serial, 20) == 0);
		CHECK_INT(reason_of(r), reasons[i]);
		check_time(X509_REVOKED_get0_revocationDate(r),
		    entries[i].revoked_at_unix);
		BN_free(n);
	}
	X509_CRL_free(crl);
	env_stop(&e);
}

static void
test_a_hundred_thousand(void)
{
	enum { N = 100000 };
	struct env e;
	struct crl_entry *entries;
	X509_CRL *crl;

	env_start(&e, "P-256", ca_exts);
	entries = arena_alloc(e.a, N * sizeof(*entries));
	for (uint32_t i = 0; i < N; i++) {
		entries[i] =
		    (struct crl_entry){.reason = 4, .revoked_at_unix = NOW - i};
		entries[i].serial[0] = 0x50;
		entries[i].serial[1] = (uint8_t)(i >> 16);
		entries[i].serial[2] = (uint8_t)(i >> 8);
		entries[i].serial[3] = (uint8_t)i;
	}
	e.spec.entries = entries;
	e.spec.n = N;
	crl = make(&e);
	CHECK_INT(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), N);
	X509_CRL_free(crl);
	env_stop(&e);
}

static void
test_refused(void)
{
	static const struct crl_entry twice[] = {
	    {{[19] = 0x05}, 0, NOW},
	    {{[19] = 0x05}, 0, NOW},
	};
	static const struct crl_entry unsorted[] = {
	    {{[19] = 0x06}, 0, NOW},
	    {{[19] = 0x05}, 0, NOW},
	};
	static const struct crl_entry late[] = {{{1}, 0, INT64_C(1) << 40}};
	struct span tbs;
	struct env e;

	env_start(&e, "P-256", ca_exts);
	e.spec.entries = twice;
	e.spec.n = 2;
	CHECK_INT(crl_tbs(e.b, e.a, &e.spec, &tbs), RC_INVALID);
	e.spec.entries = unsorted;
	CHECK_INT(crl_tbs(e.b, e.a, &e.spec, &tbs), RC_INVALID);
	e.spec.entries = late;
	e.spec.n = 1;
	CHECK_INT(crl_tbs(e.b, e.a, &e.spec, &tbs), RC_INVALID);
	e.spec.n = 0;
	e.spec.number = 0;
	CHECK_INT(crl_tbs(e.b, e.a, &e.spec, &tbs), RC_INVALID);
	e.spec.number = 1;
	e.spec.next_update_unix = NOW;
	CHECK_INT(crl_tbs(e.b, e.a, &e.spec, &tbs), RC_INVALID);
	env_stop(&e);

	env_start(&e, "P-256", no_crl_exts);
	CHECK_INT(crl_tbs(e.b, e.a, &e.spec, &tbs), RC_FORBIDDEN);
	env_stop(&e);
}

static void
test_too_large(void)
{
	enum { N = 400000 };
	struct crl_entry *entries;
	struct span tbs;
	struct env e;

	env_start(&e, "P-256", ca_exts);
	entries = arena_alloc(e.a, N * sizeof(*entries));
	for (uint32_t i = 0; i < N; i++) {
		entries[i].serial[0] = 0x50;
		entries[i].serial[1] = (uint8_t)(i >> 16);
		entries[i].serial[2] = (uint8_t)(i >> 8);
		entries[i].serial[3] = (uint8_t)i;
		entries[i].reason = 1;
		entries[i].revoked_at_unix = NOW;
	}
	e.spec.entries = entries;
	e.spec.n = N;
	CHECK_INT(crl_tbs(e.b, e.a, &e.spec, &tbs), RC_TOO_LARGE);
	env_stop(&e);
}

static void
test_reasons(void)
{
	CHECK_INT(crl_reason("unspecified"), 0);
	CHECK_INT(crl_reason("keyCompromise"), 1);
	CHECK_INT(crl_reason("CertificateHold"), 6);
	CHECK_INT(crl_reason("privilegeWithdrawn"), 9);
	CHECK_INT(crl_reason(""), 0);
	CHECK_INT(crl_reason("boredom"), 0);
}

CHECK_MAIN(CHECK_ROW(test_empty), CHECK_ROW(test_entries),
    CHECK_ROW(test_a_hundred_thousand), CHECK_ROW(test_refused),
    CHECK_ROW(test_too_large), CHECK_ROW(test_reasons))
