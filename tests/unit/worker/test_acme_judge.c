/*
 * What validations of ACME challenges make of what others say: bodies,
 * redirects, certificates and CAA records.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "common/base/arena.h"
#include "tests/unit/check.h"
#include "worker/acme/alpn_cert.h"
#include "worker/acme/caa_records.h"
#include "worker/acme/http_answer.h"
#include "worker/acme/tlsalpn01.h"

static void
test_bodies(void)
{
	static const struct {
		const char *body;
		bool holds;
	} rows[] = {
	    {"token.print", true},
	    {"token.print\n", true},
	    {"token.print \t\r\n\r\n", true},
	    {" token.print", false},
	    {"token.printx", false},
	    {"token.prin", false},
	    {"token.Print", false},
	    {"", false},
	    {"\n", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK_INT(http01_holds(rows[i].body, strlen(rows[i].body),
			      "token.print"),
		    rows[i].holds);
	CHECK(!http01_holds("token.print\0x", 13, "token.print"));
}

static void
test_redirects(void)
{
	static const struct {
		const char *location, *url, *host;
		int port; /* 0: not followed */
	} rows[] = {
	    {"/x?y=1", "http://a.test/x?y=1", "a.test", 80},
	    {"x", "http://a.test/.well-known/acme-challenge/x", "a.test", 80},
	    {"//b.test/x", "http://b.test/x", "b.test", 80},
	    {"https://b.test/x#part", "https://b.test/x", "b.test", 443},
	    {"https://[2001:db8::1]/", "https://[2001:db8::1]/", "2001:db8::1",
		443},
	    {"http://b.test:443/", "http://b.test:443/", "b.test", 443},
	    {"http://b.test:8080/", NULL, NULL, 0},
	    {"http://b.test:0/", NULL, NULL, 0},
	    {"https://u@b.test/", NULL, NULL, 0},
	    {"ftp://b.test/", NULL, NULL, 0},
	    {"file:///etc/passwd", NULL, NULL, 0},
	    {"gopher://b.test:80/", NULL, NULL, 0},
	    {"javascript:alert(1)",
		"http://a.test/.well-known/acme-challenge/"
		"javascript:alert(1)",
		"a.test", 80},
	    {"http://b.test\r\nx: y/", NULL, NULL, 0},
	    {"http://[fe80::1%25eth0]/", NULL, NULL, 0},
	};
	struct arena *a = arena_new();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http01_target t = {0};
		const char *why = http01_redirect(a,
		    "http://a.test/.well-known/acme-challenge/token",
		    rows[i].location, &t);

		if (rows[i].port == 0) {
			CHECK(why != NULL);
			continue;
		}
		if (rows[i].location[0] == 'j' && why)
			continue; /* refused, or a path: nothing else */
		CHECK(why == NULL);
		CHECK_STR(t.url, rows[i].url);
		CHECK_STR(t.host, rows[i].host);
		CHECK_INT(t.port, rows[i].port);
	}
	arena_free(a);
}

static void
test_names_of_addresses(void)
{
	struct arena *a = arena_new();

	CHECK_STR(tlsalpn01_address_name(a, "192.0.2.1"),
	    "1.2.0.192.in-addr.arpa");
	CHECK_STR(tlsalpn01_address_name(a, "2001:db8::567:89ab"),
	    "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2."
	    "ip6.arpa");
	arena_free(a);
}

/* --- certificates --- */

#define OID "1.3.6.1.5.5.7.1.31"

static void
add_names(X509 *x, const char *names)
{
	X509_EXTENSION *e =
	    X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);

	CHECK(e && X509_add_ext(x, e, -1) == 1);
	X509_EXTENSION_free(e);
}

static void
add_identifier(X509 *x, const uint8_t *value, size_t len, int critical)
{
	ASN1_OBJECT *oid = OBJ_txt2obj(OID, 1);
	ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
	X509_EXTENSION *e;

	CHECK(ASN1_OCTET_STRING_set(data, value, (int)len) == 1);
	e = X509_EXTENSION_create_by_OBJ(NULL, oid, critical, data);
	CHECK(e && X509_add_ext(x, e, -1) == 1);
	X509_EXTENSION_free(e);
	ASN1_OCTET_STRING_free(data);
	ASN1_OBJECT_free(oid);
}

static X509 *
cert_begin(EVP_PKEY *key)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_NAME_new();

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"x", -1, -1, 0);
	X509_set_subject_name(x, name);
	X509_set_issuer_name(x, name);
	X509_NAME_free(name);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	return x;
}

/* Signs and judges it, with these bytes cut off (or one added, -1). */
static const char *
fault_of(X509 *x, EVP_PKEY *signer, const struct alpn_wanted *wanted, int cut)
{
	unsigned char *der = NULL;
	const char *fault;
	int len;

	CHECK(X509_sign(x, signer, EVP_sha256()) > 0);
	len = i2d_X509(x, &der);
	CHECK(len > 0);
	der = OPENSSL_realloc(der, (size_t)len + 1);
	der[len] = 0;
	fault = alpn_cert_fault(der, (size_t)(len - cut), wanted);
	OPENSSL_free(der);
	X509_free(x);
	CHECK_INT(ERR_peek_error(), 0);
	return fault;
}

static void
test_certificates(void)
{
	static uint8_t digest[34] = {0x04, 0x20, 1, 2, 3};
	const struct alpn_wanted name = {false, "a.test", digest + 2};
	const struct alpn_wanted v4 = {true, "192.0.2.1", digest + 2};
	const struct alpn_wanted v6 = {true, "2001:db8::1", digest + 2};
	EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
	const struct {
		const char *names, *more_names;
		int identifiers, critical;
		EVP_PKEY *signer;
		int cut;
		const struct alpn_wanted *wanted;
		const char *fault;
	} rows[] = {
	    {"DNS:a.test", NULL, 1, 1, key, 0, &name, NULL},
	    {"DNS:A.TEST", NULL, 1, 1, key, 0, &name, NULL},
	    {"IP:192.0.2.1", NULL, 1, 1, key, 0, &v4, NULL},
	    {"IP:2001:db8::1", NULL, 1, 1, key, 0, &v6, NULL},
	    {"DNS:192.0.2.1", NULL, 1, 1, key, 0, &v4, "not that address"},
	    {"IP:192.0.2.1", NULL, 1, 1, key, 0, &name, "not that name"},
	    {"DNS:a.test,DNS:a.test", NULL, 1, 1, key, 0, &name, "not one"},
	    {"DNS:a.test,email:a@a.test", NULL, 1, 1, key, 0, &name, "not one"},
	    {"DNS:a.test", "DNS:a.test", 1, 1, key, 0, &name, "more than one"},
	    {"email:a@a.test", NULL, 1, 1, key, 0, &name, "not that name"},
	    {"DNS:a.test", NULL, 0, 1, key, 0, &name, "no acmeIdentifier"},
	    {"DNS:a.test", NULL, 2, 1, key, 0, &name, "more than one"},
	    {"DNS:a.test", NULL, 1, 0, key, 0, &name, "not critical"},
	    {"DNS:a.test", NULL, 1, 1, other, 0, &name, "not self-signed"},
	    {"DNS:a.test", NULL, 1, 1, key, 1, &name, "can't be read"},
	    {"DNS:a.test", NULL, 1, 1, key, -1, &name, "can't be read"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		X509 *x = cert_begin(key);
		const char *fault;

		add_names(x, rows[i].names);
		if (rows[i].more_names)
			add_names(x, rows[i].more_names);
		for (int n = 0; n < rows[i].identifiers; n++)
			add_identifier(x, digest, sizeof(digest),
			    rows[i].critical);
		fault =
		    fault_of(x, rows[i].signer, rows[i].wanted, rows[i].cut);
		CHECK(!fault == !rows[i].fault);
		CHECK(!fault || strstr(fault, rows[i].fault));
	}
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

/* Nothing but an OCTET STRING of 32 bytes, in the one way DER has. */
static void
test_digests(void)
{
	static uint8_t good[34] = {0x04, 0x20}, wrong[34] = {0x04, 0x20, 1},
		       cut[33] = {0x04, 0x1f}, tagged[34] = {0x03, 0x20},
		       longer[35] = {0x04, 0x81, 0x20}, bare[32];
	const struct {
		const uint8_t *value;
		size_t len;
		bool is_right;
	} rows[] = {
	    {good, sizeof(good), true},
	    {wrong, sizeof(wrong), false},
	    {cut, sizeof(cut), false},
	    {tagged, sizeof(tagged), false},
	    {longer, sizeof(longer), false},
	    {bare, sizeof(bare), false},
	    {good, 0, false},
	};
	const struct alpn_wanted wanted = {false, "a.test", good + 2};
	EVP_PKEY *key = EVP_EC_gen("P-256");

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		X509 *x = cert_begin(key);

		add_names(x, "DNS:a.test");
		add_identifier(x, rows[i].value, rows[i].len, 1);
		CHECK_INT(fault_of(x, key, &wanted, 0) == NULL,
		    rows[i].is_right);
	}
	EVP_PKEY_free(key);
}

/* --- CAA --- */

static void
test_caa(void)
{
	static const char *const identities[] = {"ca.test", "old.test", NULL};
	static const struct {
		struct dns_caa records[3];
		bool is_wildcard, is_allowed;
	} rows[] = {
	    {{{0}}, false, true},
	    {{{false, "issue", "ca.test"}}, false, true},
	    {{{false, "ISSUE", "OLD.test"}}, false, true},
	    {{{false, "issue", ""}}, false, false},
	    {{{false, "issue", "xca.test"}}, false, false},
	    {{{false, "issue", "ca.test."}}, false, false},
	    {{{false, "issue", "\tca.test\t;"}}, false, true},
	    {{{false, "issue", "ca.test;;"}}, false, true},
	    {{{false, "issuewild", ";"}}, false, true},
	    {{{false, "issuewild", ";"}}, true, false},
	    {{{false, "issue", "ca.test"}}, true, true},
	    {{{false, "issue", "ca.test"}, {false, "issuewild", "x"}}, true,
		false},
	    {{{true, "issue", "ca.test"}}, false, true},
	    {{{true, "tbs", "x"}}, false, false},
	    {{{false, "tbs", "x"}}, false, true},
	    {{{false, "issue", "ca.test; x=y"}}, false, true},
	    {{{false, "issue", "ca.test; validationmethods=http-01"}}, false,
		true},
	    {{{false, "issue", "ca.test;validationmethods=a,http-01"}}, false,
		true},
	    {{{false, "issue", "ca.test; validationmethods=http-0"}}, false,
		false},
	    {{{false, "issue", "ca.test; validationmethods="}}, false, false},
	    {{{false, "issue", "ca.test; accounturi=https://h/acme/account/a"}},
		false, true},
	    {{{false, "issue", "ca.test; accounturi=http://h/acme/account/a"}},
		false, false},
	    {{{false, "issue", "ca.test; accounturi=https://h/acme/account/b"}},
		false, false},
	    {{{false, "issue", "ca.test; nothing"}}, false, false},
	    {{{false, "issue", "ca.test; nothing"},
		 {false, "issue", "ca.test"}},
		false, true},
	};
	struct arena *a = arena_new();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct caa_asked asked = {
		    .identities = identities,
		    .is_wildcard = rows[i].is_wildcard,
		    .method = "http-01",
		    .account_paths = {"/acme/account/a",
			"/acme/profile/p/account/a"},
		};
		size_t n = 0;

		while (n < 3 && rows[i].records[n].tag)
			n++;
		CHECK_INT(caa_forbids(a, rows[i].records, n, &asked) == NULL,
		    rows[i].is_allowed);
	}
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(test_bodies), CHECK_ROW(test_redirects),
    CHECK_ROW(test_names_of_addresses), CHECK_ROW(test_certificates),
    CHECK_ROW(test_digests), CHECK_ROW(test_caa))
