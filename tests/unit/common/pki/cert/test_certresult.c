/*
 * What a CA outside sends: the certificate that was asked for is taken, and
 * everything that is not quite it is refused, with the reason.
 */
#include "common/pki/cert/certresult.h"

#include <openssl/x509v3.h>
#include <string.h>

#include "common/base/attr.h"
#include "tests/unit/check.h"
#include "tests/unit/common/pki/fixture.h"

#define NOW 1800000000 /* within what fixture_ca makes */
#define START 946684800
#define END 4102444799

static struct arena *a;

static char *
pem_of(const char *kind, const char *cn, const char *sans, const char *basic)
{
	struct fixture_ext exts[] = {{NID_basic_constraints, basic},
	    {sans ? NID_subject_alt_name : 0, sans}, {0}};
	X509 *x = fixture_ca(fixture_key(kind), cn, exts);
	unsigned char *der = NULL;
	int len = i2d_X509(x, &der);
	char *pem = NULL;

	CHECK_INT(cert_to_pem(a, der, (size_t)len, &pem), RC_OK);
	OPENSSL_free(der);
	X509_free(x);
	return pem;
}

static struct csr
request(const char *cn, const struct fixture_san *sans)
{
	const struct fixture_attr subject[] = {{NID_commonName,
						   V_ASN1_UTF8STRING, cn, 0},
	    {0}};
	struct csr c;
	const char *why = "";
	char *pem =
	    fixture_csr(a, fixture_key("P-256"), cn ? subject : NULL, sans);

	CHECK_INT(fixture_parse(a, pem, &c, &why), RC_OK);
	return c;
}

/* NULL: taken. */
static const char *
judge(const struct csr *c, const char *pem, int64_t now, int64_t max_ttl_s)
{
	struct certresult_rules rules = {c, now, max_ttl_s};
	struct certresult out;
	const char *serial = NULL, *why = NULL;
	rc code;

	code =
	    certresult_read(a, &rules, pem, strlen(pem), &out, &serial, &why);
	CHECK(serial != NULL);
	CHECK_INT(code == RC_OK, why == NULL);
	return why;
}

static const struct fixture_san demo[] = {{GEN_DNS, "demo.example", 0}, {0}};

static void
test_taken_with_its_chain(void)
{
	struct csr c = request("demo.example", demo);
	struct certresult_rules rules = {&c, NOW, 0};
	struct certresult out;
	const char *serial, *why = NULL;
	char *leaf, *ca, *text;

	leaf = pem_of("P-256", "demo.example", "DNS:demo.example", "CA:FALSE");
	ca = pem_of("P-384", "CA", NULL, "CA:TRUE");
	text = arena_printf(a, "Subject: CN=demo\n%sand its CA:\n%s%s", leaf,
	    ca, ca);
	CHECK_INT(certresult_read(a, &rules, text, strlen(text), &out, &serial,
		      &why),
	    RC_OK);
	CHECK_STR(out.leaf_pem, leaf);
	CHECK_STR(out.chain_pem, arena_printf(a, "%s%s", ca, ca));
	CHECK_STR(out.info.serial_hex,
	    "0000000000000000000000000000000000000007");
	CHECK_STR(serial, out.info.serial_hex);
	CHECK_INT(out.info.not_after_unix, END);
	CHECK_INT(certresult_read(a, &rules, leaf, strlen(leaf), &out, &serial,
		      &why),
	    RC_OK);
	CHECK_STR(out.chain_pem, "");
}

static void
test_names(void)
{
	static const struct fixture_san many[] = {{GEN_DNS, "demo.example", 0},
	    {GEN_IPADD, "\x7f\0\0\1", 4}, {GEN_EMAIL, "a@demo.example", 0},
	    {GEN_URI, "spiffe://d/X", 0}, {0}};
	static const struct {
		bool many;
		const char *cn, *sans, *why;
	} rows[] = {
	    {false, "demo.example", "DNS:demo.example", NULL},
	    {false, "DEMO.example", "DNS:Demo.Example", NULL},
	    {false, "other.example", "DNS:demo.example", "its common name"},
	    {false, "demo.example", NULL, "not among its alternative"},
	    {false, "demo.example", "DNS:demo.example,DNS:x.example",
		"it names x.example, which"},
	    {false, "demo.example", "DNS:demo.example,DNS:*.example",
		"it names *.example"},
	    {false, "demo.example", "email:a@b.example,DNS:demo.example",
		"it names a@b.example"},
	    {false, "demo.example", "IP:10.0.0.1,DNS:demo.example",
		"it names 10.0.0.1"},
	    {false, "demo.example", "RID:1.2.3,DNS:demo.example",
		"of a kind or form"},
	    {true, "demo.example",
		"DNS:demo.example,IP:127.0.0.1,email:a@demo.example,"
		"URI:spiffe://d/X",
		NULL},
	    {true, "demo.example",
		"DNS:demo.example,IP:127.0.0.1,email:a@demo.example,"
		"URI:spiffe://d/x",
		"it names spiffe://d/x"},
	    {true, "demo.example",
		"DNS:demo.example,IP:127.0.0.1,email:a@demo.example",
		"spiffe://d/X is not among"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct csr c =
		    request("demo.example", rows[i].many ? many : demo);
		char *pem =
		    pem_of("P-256", rows[i].cn, rows[i].sans, "CA:FALSE");

		CHECK_WHY(judge(&c, pem, NOW, 0), rows[i].why);
	}
}

/* A request that names itself in its subject alone. */
static void
test_common_name_alone(void)
{
	struct csr c = request("demo.example", NULL);

	CHECK_WHY(judge(&c,
		      pem_of("P-256", "demo.example", "DNS:demo.example",
			  "CA:FALSE"),
		      NOW, 0),
	    NULL);
	CHECK_WHY(judge(&c, pem_of("P-256", "demo.example", NULL, "CA:FALSE"),
		      NOW, 0),
	    "demo.example is not among its alternative names");
}

static void
test_time(void)
{
	static const struct {
		int64_t now, max_ttl_s;
		const char *why;
	} rows[] = {
	    {START - 300, 0, NULL},
	    {START - 301, 0, "not valid before 2000-01-01T00:00:00"},
	    {END - 60, 0, NULL},
	    {END - 59, 0, "ends within a minute"},
	    {END, 0, "it expired at 2099-12-31T23:59:59"},
	    {NOW, END - NOW, NULL},
	    {NOW, END - NOW - 301, "max_ttl_seconds"},
	};
	struct csr c = request("demo.example", demo);
	char *pem =
	    pem_of("P-256", "demo.example", "DNS:demo.example", "CA:FALSE");

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK_WHY(judge(&c, pem, rows[i].now, rows[i].max_ttl_s),
		    rows[i].why);
}

static void
test_other_certificates(void)
{
	struct csr c = request("demo.example", demo);
	char *leaf =
	    pem_of("P-256", "demo.example", "DNS:demo.example", "CA:FALSE");
	char *big = arena_alloc(a, CERTRESULT_PEM_MAX + 2), *text = leaf;

	CHECK_WHY(judge(&c,
		      pem_of("P-384", "demo.example", "DNS:demo.example",
			  "CA:FALSE"),
		      NOW, 0),
	    "for another key");
	CHECK_WHY(judge(&c,
		      pem_of("P-256", "demo.example", "DNS:demo.example",
			  "CA:TRUE"),
		      NOW, 0),
	    "a CA's certificate");
	CHECK_WHY(judge(&c, "", NOW, 0), "no certificate in it");
	CHECK_WHY(judge(&c, "the CA is closed on Sundays", NOW, 0),
	    "no certificate in it");
	CHECK_WHY(judge(&c, arena_strndup(a, leaf, 200), NOW, 0), "not PEM");
	CHECK_WHY(judge(&c,
		      fixture_wrap(a, "CERTIFICATE", (const uint8_t *)"x", 1),
		      NOW, 0),
	    "not an X.509 certificate");
	CHECK_WHY(judge(&c,
		      arena_printf(a, "%s-----BEGIN CERTIFICATE-----\nAA",
			  leaf),
		      NOW, 0),
	    "not PEM");
	memset(big, ' ', CERTRESULT_PEM_MAX + 1);
	CHECK_WHY(judge(&c, big, NOW, 0), "longer than 128 KiB");
	for (int i = 0; i < 8; i++)
		text = arena_printf(a, "%s%s", text, leaf);
	CHECK_WHY(judge(&c, text, NOW, 0), NULL);
	CHECK_WHY(judge(&c, arena_printf(a, "%s%s", text, leaf), NOW, 0),
	    "more than 8");
}

static void
with_arena(void (*test)(void))
{
	a = arena_new();
	test();
	arena_free(a);
}

static void
certificates_are_judged(void)
{
	with_arena(test_taken_with_its_chain);
	with_arena(test_names);
	with_arena(test_common_name_alone);
	with_arena(test_time);
	with_arena(test_other_certificates);
}

CHECK_MAIN(CHECK_ROW(certificates_are_judged))
