/*
 * What a CA outside sends as its revocation list: a whole one of now that it
 * signed is taken, whatever it is wrapped in, and everything else is refused,
 * with the reason.
 */
#include "common/pki/cert/crlresult.h"

#include <openssl/x509v3.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/pki/cert/cert.h"
#include "tests/unit/check.h"
#include "tests/unit/common/pki/fixture.h"

#define NOW 1800000000 /* within what fixture_ca makes */
#define HOUR 3600

static const struct fixture_ext ca_exts[] = {
    {NID_basic_constraints, "critical,CA:TRUE"},
    {NID_key_usage, "critical,keyCertSign,cRLSign"},
    {0},
};
static const struct fixture_ext no_sign_exts[] = {
    {NID_basic_constraints, "critical,CA:TRUE"},
    {NID_key_usage, "critical,keyCertSign"},
    {0},
};

static struct arena *a;
static X509 *ca;
static const char *issued[1]; /* a leaf of the CA and its chain */

/* What a list is made of; 0 as it is usual. */
struct plan {
	const char *signer; /* the kind of its key */
	const char *name;   /* of its issuer */
	int64_t this_unix, next_unix;
	int64_t number;
	bool has_no_next, has_no_number, has_long_number, is_delta;
	bool is_of_users, is_of_cas, is_indirect; /* issuing point */
	bool is_odd; /* has a critical extension that nobody knows */
	int64_t serials[3];
};

static const char *
pem_of(X509 *x)
{
	char *pem = NULL;

	CHECK_INT(cert_x509_pem(a, x, &pem), RC_OK);
	return pem;
}

/* ends: 0: as the fixture has it. */
static const char *
issue_until(X509 *by, const char *kind, int64_t ends)
{
	static const struct fixture_ext exts[] = {{NID_basic_constraints,
						      "CA:FALSE"},
	    {0}};
	X509 *leaf = fixture_ca(fixture_key("P-521"), "leaf", exts);
	const char *text;

	CHECK(X509_set_issuer_name(leaf, X509_get_subject_name(by)));
	if (ends != 0)
		CHECK(ASN1_TIME_set(X509_getm_notAfter(leaf), ends) != NULL);
	CHECK(X509_sign(leaf, fixture_key(kind), EVP_sha256()) > 0);
	text = arena_printf(a, "%s%s", pem_of(leaf), pem_of(by));
	X509_free(leaf);
	return text;
}

static const char *
issue(X509 *by, const char *kind)
{
	return issue_until(by, kind, 0);
}

static void
set_times(X509_CRL *crl, const struct plan *p)
{
	ASN1_TIME *t =
	    ASN1_TIME_set(NULL, p->this_unix ? p->this_unix : NOW - HOUR);

	CHECK(X509_CRL_set1_lastUpdate(crl, t));
	CHECK(
	    ASN1_TIME_set(t, p->next_unix ? p->next_unix : NOW + HOUR) != NULL);
	if (!p->has_no_next)
		CHECK(X509_CRL_set1_nextUpdate(crl, t));
	ASN1_TIME_free(t);
}

static void
add_number(X509_CRL *crl, int nid, int64_t number, bool is_long)
{
	ASN1_INTEGER *n = ASN1_INTEGER_new();

	CHECK(ASN1_INTEGER_set_int64(n, number));
	if (is_long)
		CHECK(ASN1_STRING_set(n, "\x7f\0\0\0\0\0\0\0\0", 9));
	CHECK(X509_CRL_add1_ext_i2d(crl, nid, n, nid == NID_delta_crl, 0));
	ASN1_INTEGER_free(n);
}

static void
add_point(X509_CRL *crl, const struct plan *p)
{
	ISSUING_DIST_POINT *point = ISSUING_DIST_POINT_new();

	point->onlyuser = p->is_of_users ? 0xff : 0;
	point->onlyCA = p->is_of_cas ? 0xff : 0;
	point->indirectCRL = p->is_indirect ? 0xff : 0;
	CHECK(X509_CRL_add1_ext_i2d(crl, NID_issuing_distribution_point, point,
	    1, 0));
	ISSUING_DIST_POINT_free(point);
}

static void
add_odd(X509_CRL *crl)
{
	ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.99999.1", 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *e;

	CHECK(ASN1_OCTET_STRING_set(value, (const uint8_t *)"\x05\0", 2));
	e = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, value);
	CHECK(X509_CRL_add_ext(crl, e, -1));
	X509_EXTENSION_free(e);
	ASN1_OCTET_STRING_free(value);
	ASN1_OBJECT_free(oid);
}

static void
add_entries(X509_CRL *crl, const struct plan *p)
{
	ASN1_TIME *t = ASN1_TIME_set(NULL, NOW - HOUR);
	ASN1_INTEGER *n = ASN1_INTEGER_new();

	for (size_t i = 0; i < ARRAY_LEN(p->serials) && p->serials[i]; i++) {
		X509_REVOKED *r = X509_REVOKED_new();

		CHECK(ASN1_INTEGER_set_int64(n, p->serials[i]));
		CHECK(X509_REVOKED_set_serialNumber(r, n));
		CHECK(X509_REVOKED_set_revocationDate(r, t));
		CHECK(X509_CRL_add0_revoked(crl, r));
	}
	ASN1_INTEGER_free(n);
	ASN1_TIME_free(t);
}

static struct span
make(const struct plan *p)
{
	X509_CRL *crl = X509_CRL_new();
	X509_NAME *name = X509_NAME_dup(X509_get_subject_name(ca));
	unsigned char *der = NULL;
	struct span out;
	int len;

	if (p->name) {
		X509_NAME_free(name);
		name = X509_NAME_new();
		CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
		    (const uint8_t *)p->name, -1, -1, 0));
	}
	CHECK(X509_CRL_set_version(crl, 1));
	CHECK(X509_CRL_set_issuer_name(crl, name));
	set_times(crl, p);
	if (!p->has_no_number)
		add_number(crl, NID_crl_number, p->number ? p->number : 7,
		    p->has_long_number);
	if (p->is_delta)
		add_number(crl, NID_delta_crl, 1, false);
	if (p->is_of_users || p->is_of_cas || p->is_indirect)
		add_point(crl, p);
	if (p->is_odd)
		add_odd(crl);
	add_entries(crl, p);
	CHECK(X509_CRL_sign(crl, fixture_key(p->signer ? p->signer : "P-256"),
		  EVP_sha256()) > 0);
	len = i2d_X509_CRL(crl, &der);
	CHECK(len > 0);
	out = (struct span){arena_alloc(a, (size_t)len), (size_t)len};
	memcpy((void *)out.p, der, (size_t)len);
	OPENSSL_free(der);
	X509_NAME_free(name);
	X509_CRL_free(crl);
	return out;
}

static struct crlresult_rules
rules(void)
{
	return (struct crlresult_rules){.now_unix = NOW,
	    .issued = issued,
	    .nissued = 1};
}

/* NULL: taken. */
static const char *
judge(const struct crlresult_rules *k, const void *bytes, size_t len)
{
	struct crlresult out;
	const char *why = NULL;
	rc code = crlresult_read(a, k, bytes, len, &out, &why);

	CHECK_INT(code == RC_OK, why == NULL);
	return why;
}

static void
test_der_and_pem(void)
{
	static const struct plan plan = {.number = 41, .serials = {5, 6}};
	struct crlresult_rules k = rules();
	struct crlresult out;
	struct cert_info info;
	struct span der = make(&plan);
	const char *why = "", *text;

	CHECK_INT(crlresult_read(a, &k, (const char *)der.p, der.len, &out,
		      &why),
	    RC_OK);
	CHECK_INT(out.number, 41);
	CHECK_INT(out.this_update_unix, NOW - HOUR);
	CHECK_INT(out.next_update_unix, NOW + HOUR);
	CHECK_INT(out.nentries, 2);
	CHECK(out.lacks == NULL);
	CHECK_INT(cert_read(a, ca, &info), RC_OK);
	CHECK_STR(out.ca_fingerprint, info.fingerprint_sha256);
	text = arena_printf(a, "made by hand\n%s",
	    fixture_wrap(a, "X509 CRL", der.p, der.len));
	CHECK_INT(crlresult_read(a, &k, text, strlen(text), &out, &why), RC_OK);
	CHECK_INT(out.der.len, der.len);
	CHECK(memcmp(out.der.p, der.p, der.len) == 0);
}

static void
test_lists(void)
{
	static const struct {
		struct plan plan;
		const char *why;
	} rows[] = {
	    {{.signer = "P-384"}, "not signed by the CA that issued"},
	    {{.name = "Another CA"}, "or not under its name"},
	    {{.this_unix = NOW + 299}, NULL},
	    {{.this_unix = NOW + 301}, "it is of the future, of 2027-01-15"},
	    {{.next_unix = NOW}, "it ended at 2027-01-15"},
	    {{.next_unix = NOW + 1}, NULL},
	    {{.this_unix = NOW + 200, .next_unix = NOW + 100}, "it ended at"},
	    {{.has_no_next = true}, "when the next one comes"},
	    {{.has_no_number = true}, "it has no number"},
	    {{.has_long_number = true}, "longer than 63 bits"},
	    {{.number = -3}, "its number cannot be read"},
	    {{.is_delta = true}, "not the whole list"},
	    {{.is_indirect = true}, "not the whole list"},
	    {{.is_of_cas = true}, "not the whole list"},
	    {{.is_of_users = true}, NULL},
	    {{.is_odd = true}, "a critical extension that is not known"},
	};
	struct crlresult_rules k = rules();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span der = make(&rows[i].plan);

		CHECK_WHY(judge(&k, der.p, der.len), rows[i].why);
	}
}

static void
test_bytes(void)
{
	static const struct plan plan = {0};
	struct crlresult_rules k = rules();
	struct span der = make(&plan);
	char *more = arena_alloc(a, der.len + 8), *big;
	const char *text = fixture_wrap(a, "X509 CRL", der.p, der.len);
	struct crlresult out;
	const char *why = "";

	memcpy(more, der.p, der.len);
	CHECK_WHY(judge(&k, more, der.len + 1), "cannot be read as");
	CHECK_WHY(judge(&k, more, der.len - 1), "cannot be read as");
	CHECK_WHY(judge(&k, "", 0), "neither DER nor PEM");
	CHECK_WHY(judge(&k, "0", 1), "cannot be read as");
	CHECK_WHY(judge(&k, "<html>no</html>", 15), "neither DER nor PEM");
	CHECK_WHY(judge(&k, text, strlen(text) - 9), "it is not PEM");
	text = pem_of(ca);
	CHECK_WHY(judge(&k, text, strlen(text)), "neither DER nor PEM");
	/* The length of its outermost octets in a byte more than DER has. */
	CHECK_INT(der.p[1], 0x82 - (der.len < 260));
	more[0] = 0x30;
	more[1] = (char)(more[1] + 1);
	more[2] = 0;
	memcpy(more + 3, der.p + 2, der.len - 2);
	CHECK_WHY(judge(&k, more, der.len + 1), "is not in DER");
	big = arena_alloc(a, CRLRESULT_BYTES_MAX + 1);
	CHECK_INT(crlresult_read(a, &k, big, CRLRESULT_BYTES_MAX + 1, &out,
		      &why),
	    RC_TOO_LARGE);
	CHECK_WHY(why, "24 MiB");
	big[0] = 0x30;
	CHECK_INT(crlresult_read(a, &k, big, CRLRESULT_DER_MAX + 1, &out, &why),
	    RC_TOO_LARGE);
	CHECK_WHY(why, "16 MiB");
}

static void
test_whose(void)
{
	static const struct plan plan = {0}, other = {.signer = "P-384"};
	X509 *next = fixture_ca(fixture_key("P-384"), "Test CA", ca_exts);
	X509 *weak = fixture_ca(fixture_key("P-256"), "Test CA", no_sign_exts);
	const char *both[] = {issued[0], issue(next, "P-384")};
	const char *lone[] = {arena_printf(a, "%.*s",
	    (int)(strstr(issued[0] + 1, "-----BEGIN") - issued[0]), issued[0])};
	const char *bad[] = {issue(weak, "P-256")};
	struct span der = make(&plan);
	struct crlresult_rules k = rules();

	/* The CA has another key, and its lists are signed by that now. */
	k.issued = both;
	k.nissued = 2;
	CHECK_WHY(judge(&k, der.p, der.len), NULL);
	der = make(&other);
	CHECK_WHY(judge(&k, der.p, der.len), NULL);
	der = make(&plan);
	k.nissued = 0;
	CHECK_WHY(judge(&k, der.p, der.len), "certificate is not known");
	k.nissued = 1;
	k.issued = lone;
	CHECK_WHY(judge(&k, der.p, der.len), "certificate is not known");
	k.issued = bad;
	CHECK_WHY(judge(&k, der.p, der.len), "no cRLSign");
	X509_free(next);
	X509_free(weak);
}

static const char *
others_of(const struct crlresult_rules *k, const struct plan *plan)
{
	struct span der = make(plan);
	struct crlresult out;
	const char *why = "";

	CHECK_INT(crlresult_read(a, k, (const char *)der.p, der.len, &out,
		      &why),
	    RC_OK);
	return out.others;
}

/* Whose certificates it is no list of. */
static void
test_another_key(void)
{
	static const struct plan old = {0}, new = {.signer = "P-384"};
	X509 *next = fixture_ca(fixture_key("P-384"), "Test CA", ca_exts);
	X509 *again = fixture_ca(fixture_key("P-256"), "Test CA", ca_exts);
	const char *all[] = {issue(next, "P-384"), issued[0],
	    issue(again, "P-256")};
	const char *ended[] = {all[0], issue_until(ca, "P-256", NOW)};
	struct crlresult_rules k = rules();
	struct cert_info was, is;

	CHECK_INT(cert_read(a, ca, &was), RC_OK);
	CHECK_INT(cert_read(a, next, &is), RC_OK);
	CHECK(others_of(&k, &old) == NULL);
	k.issued = all;
	k.nissued = 2;
	CHECK(strstr(others_of(&k, &new), was.fingerprint_sha256));
	CHECK(!strstr(others_of(&k, &new), is.fingerprint_sha256));
	/* It is the key that counts: a CA may have another certificate of it.
	 */
	k.nissued = 3;
	CHECK(strstr(others_of(&k, &old), is.fingerprint_sha256));
	CHECK(!strstr(others_of(&k, &old), was.fingerprint_sha256));
	/* What has ended is in use no more. */
	k.issued = ended;
	k.nissued = 2;
	CHECK(others_of(&k, &new) == NULL);
	ended[1] = issue_until(ca, "P-256", NOW + 1);
	CHECK(others_of(&k, &new) != NULL);
	X509_free(next);
	X509_free(again);
}

static void
test_an_older_one(void)
{
	static const struct plan plan = {.number = 10};
	struct span der = make(&plan);
	struct crlresult_rules k = rules();
	struct cert_info info;

	CHECK_INT(cert_read(a, ca, &info), RC_OK);
	k.served_ca = info.fingerprint_sha256;
	k.served_number = 10;
	k.served_this_update_unix = NOW - HOUR;
	k.served_next_update_unix = NOW + 1;
	CHECK_WHY(judge(&k, der.p, der.len), NULL);
	k.served_number = 11;
	CHECK_WHY(judge(&k, der.p, der.len),
	    "number 10, and 11 is served until 2027-01-15");
	/* One that has ended keeps no CA from counting anew. */
	k.served_next_update_unix = NOW;
	CHECK_WHY(judge(&k, der.p, der.len), NULL);
	/* Another key has numbers of its own. */
	k.served_ca = "0a";
	CHECK_WHY(judge(&k, der.p, der.len), NULL);
	k.served_this_update_unix++;
	CHECK_WHY(judge(&k, der.p, der.len), "it is older than the one");
}

static void
test_what_it_lacks(void)
{
	static const struct plan plan = {.serials = {5, 0x1234, 9}};
	struct crl_entry revoked[8];
	struct span der = make(&plan);
	struct crlresult_rules k = rules();
	struct crlresult out;
	const char *why = "";

	memset(revoked, 0, sizeof(revoked));
	revoked[0].serial[19] = 5;
	revoked[1].serial[18] = 0x12;
	revoked[1].serial[19] = 0x34;
	k.revoked = revoked;
	k.nrevoked = 2;
	CHECK_INT(crlresult_read(a, &k, (const char *)der.p, der.len, &out,
		      &why),
	    RC_OK);
	CHECK(out.lacks == NULL);
	for (size_t i = 2; i < ARRAY_LEN(revoked); i++)
		revoked[i].serial[0] = (uint8_t)(i + 0x20);
	revoked[2].serial[0] = 0;
	revoked[2].serial[19] = 0xaf;
	k.nrevoked = 3;
	CHECK_INT(crlresult_read(a, &k, (const char *)der.p, der.len, &out,
		      &why),
	    RC_OK);
	CHECK_STR(out.lacks, "1 of what is revoked here is not in the CA's "
			     "list: af");
	k.nrevoked = ARRAY_LEN(revoked);
	CHECK_INT(crlresult_read(a, &k, (const char *)der.p, der.len, &out,
		      &why),
	    RC_OK);
	CHECK(strncmp(out.lacks, "6 of what is revoked here are not in", 36) ==
	      0);
	CHECK(strstr(out.lacks, "list: af, 23000000") != NULL);
	CHECK_STR(out.lacks + strlen(out.lacks) - 5, ", ...");
}

static void
with_ca(void (*test)(void))
{
	a = arena_new();
	ca = fixture_ca(fixture_key("P-256"), "Test CA", ca_exts);
	issued[0] = issue(ca, "P-256");
	test();
	X509_free(ca);
	arena_free(a);
}

static void
lists_are_judged(void)
{
	with_ca(test_der_and_pem);
	with_ca(test_lists);
	with_ca(test_bytes);
	with_ca(test_whose);
	with_ca(test_another_key);
	with_ca(test_an_older_one);
	with_ca(test_what_it_lacks);
}

CHECK_MAIN(CHECK_ROW(lists_are_judged))
