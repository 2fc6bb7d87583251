/*
 * test_certfile: every certificate of a file, and never its key.
 */
#include "agent/certfile.h"

#include <openssl/pkcs12.h>
#include <openssl/pkcs7.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/cert/cert.h"
#include "common/pki/key/key.h"
#include "tests/unit/agent/sandbox.h"
#include "tests/unit/check.h"

struct rig {
	struct arena *a;
	const char *cert, *key; /* PEM */
	struct span der;
	X509 *x;
	EVP_PKEY *pkey;
	/* What was found. */
	int n;
	const char *format;
	bool is_other; /* than der */
};

static void
rig_init(struct rig *r)
{
	*r = (struct rig){.a = sandbox_new()};
	sandbox_pair(4102444799, &r->cert, &r->key);
	CHECK_INT(pem_read(r->a, "CERTIFICATE", r->cert, strlen(r->cert),
		      &r->der, NULL),
	    RC_OK);
	CHECK_INT(cert_from_pem(r->cert, strlen(r->cert), &r->x), RC_OK);
	CHECK_INT(key_from_pem(r->key, strlen(r->key), &r->pkey), RC_OK);
}

static void
rig_fini(struct rig *r)
{
	X509_free(r->x);
	EVP_PKEY_free(r->pkey);
}

static void
on_found(void *arg, const char *format, struct span der)
{
	struct rig *r = arg;

	r->n++;
	r->format = format;
	if (der.len != r->der.len || memcmp(der.p, r->der.p, der.len) != 0)
		r->is_other = true;
}

static const char *
read_bytes(struct rig *r, const char *name, struct span bytes)
{
	const char *why;

	r->n = 0;
	r->is_other = false;
	r->format = "none";
	why = certfile_read(r->a, name, bytes, on_found, r);
	return why ? why : "";
}

static const char *
read_text(struct rig *r, const char *name, const char *text)
{
	return read_bytes(r, name,
	    (struct span){(const uint8_t *)text, strlen(text)});
}

static void
names(void)
{
	static const struct {
		const char *name;
		bool is_wanted;
	} rows[] = {{"a.pem", true}, {"a.CRT", true}, {"a.txt", true},
	    {"a.p12", true}, {"a", false}, {".hidden", false}, {"a.", false},
	    {"a.key", false}, {"a.KEY", false}, {"a.pem.key", false}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK_INT(certfile_is_wanted(rows[i].name), rows[i].is_wanted);
}

static void
pem(void)
{
	struct rig r;
	const char *many = "";

	rig_init(&r);
	CHECK_STR(read_text(&r, "a.pem", r.cert), "");
	CHECK(r.n == 1 && !r.is_other);
	CHECK_STR(r.format, "PEM");
	CHECK_STR(read_text(&r, "a.conf",
		      arena_printf(r.a, "x = y\n%s%s#\n%s", r.cert, r.key,
			  r.cert)),
	    "");
	CHECK(r.n == 2 && !r.is_other);
	CHECK_STR(read_text(&r, "privkey.pem", r.key), "");
	CHECK_INT(r.n, 0);
	CHECK_STR(read_text(&r, "a.crt", ""), "");
	CHECK_INT(r.n, 0);
	CHECK_STR(read_text(&r, "a.crt",
		      arena_printf(r.a, "%s%.*s", r.cert, 200, r.cert)),
	    "a certificate in it is cut off or no base64");
	CHECK_INT(r.n, 1);
	CHECK_STR(read_text(&r, "a.crt",
		      arena_printf(r.a, "\xef\xbb\xbf%.*s\n%s%s!\n%s\n%s%s",
			  200, r.cert, r.cert, "-----BEGIN CERTIFICATE-----\n",
			  "-----END CERTIFICATE-----", "# x\n", r.cert)),
	    "a certificate in it is cut off or no base64");
	CHECK(r.n == 2 && !r.is_other);
	CHECK_STR(read_text(&r, "a.crt", arena_printf(r.a, "x%s", r.cert)), "");
	CHECK_INT(r.n, 0);
	CHECK_STR(read_text(&r, "a.crt",
		      arena_printf(r.a, "\xef\xbb\xbf%s", r.cert)),
	    "");
	CHECK_INT(r.n, 1);
	for (int i = 0; i < CERTFILE_CERTS_MAX / 10 + 1; i++)
		many = arena_printf(r.a, "%s%s", many, r.cert);
	many = arena_printf(r.a, "%s%s%s%s%s%s%s%s%s%s", many, many, many, many,
	    many, many, many, many, many, many);
	CHECK_STR(read_text(&r, "a.crt", many),
	    "it holds more than 1000 certificates");
	CHECK_INT(r.n, CERTFILE_CERTS_MAX);
	rig_fini(&r);
}

static void
der(void)
{
	static const char *const names[] = {"a.der", "a.cer", "a.CRT", "a.pem"};
	struct rig r;

	rig_init(&r);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		CHECK_STR(read_bytes(&r, names[i], r.der), "");
		CHECK(r.n == 1 && !r.is_other);
		CHECK_STR(r.format, "DER");
	}
	CHECK_STR(read_bytes(&r, "a.bin", r.der), "");
	CHECK_INT(r.n, 0);
	rig_fini(&r);
}

/* iterations: of the MAC; the ciphers of a file follow nid. */
static struct span
make_pkcs12(struct rig *r, const char *password, int nid, int cipher_rounds,
    int mac_rounds)
{
	PKCS12 *file = PKCS12_create(password, "n", r->pkey, r->x, NULL, nid,
	    nid, cipher_rounds, mac_rounds, 0);
	unsigned char *bytes = NULL;
	struct span out;
	uint8_t *copy;
	int len = i2d_PKCS12(file, &bytes);

	CHECK(len > 0);
	copy = arena_alloc(r->a, (size_t)len);
	memcpy(copy, bytes, (size_t)len);
	out = (struct span){copy, (size_t)len};
	OPENSSL_free(bytes);
	PKCS12_free(file);
	return out;
}

static void
pkcs12(void)
{
	static const struct {
		const char *password;
		int nid, cipher_rounds, mac_rounds;
		const char *why;
	} rows[] = {
	    {"", NID_aes_256_cbc, 2048, 2048, ""},
	    {NULL, NID_aes_256_cbc, 2048, 2048, ""},
	    {"", -1, 2048, 2048, ""},
	    {"", -1, 2048, -1, ""},
	    {"", NID_aes_256_cbc, 2048, -1, ""},
	    {"", NID_pbe_WithSHA1And3_Key_TripleDES_CBC, 2048, 1, ""},
	    {"secret", NID_aes_256_cbc, 2048, 2048, "it needs a password"},
	    {"secret", NID_aes_256_cbc, 2048, -1,
		"a part of it needs a password, or its cipher is unknown"},
	    {"", NID_aes_256_cbc, 2048, 700000,
		"its password takes too long to check"},
	    {"", NID_aes_256_cbc, 700000, 2048,
		"its cipher is unknown, or takes too long"},
	};
	struct rig r;

	rig_init(&r);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span bytes = make_pkcs12(&r, rows[i].password,
		    rows[i].nid, rows[i].cipher_rounds, rows[i].mac_rounds);

		CHECK_STR(read_bytes(&r, "a.p12", bytes), rows[i].why);
		CHECK_INT(r.n, *rows[i].why == '\0');
		CHECK(!r.is_other);
		if (r.n == 1)
			CHECK_STR(r.format, "PKCS12");
	}
	CHECK_STR(read_bytes(&r, "a.pfx", r.der), "it is no PKCS#12 file");
	CHECK_STR(read_text(&r, "a.pfx", r.cert), "it is no PKCS#12 file");
	rig_fini(&r);
}

static void
pkcs7(void)
{
	unsigned char *bytes = NULL;
	PKCS7 *file = PKCS7_new();
	struct rig r;
	struct span der;
	int len;

	rig_init(&r);
	CHECK_INT(PKCS7_set_type(file, NID_pkcs7_signed), 1);
	CHECK_INT(PKCS7_content_new(file, NID_pkcs7_data), 1);
	CHECK_INT(PKCS7_add_certificate(file, r.x), 1);
	CHECK_INT(PKCS7_add_certificate(file, r.x), 1);
	len = i2d_PKCS7(file, &bytes);
	CHECK(len > 0);
	der = (struct span){bytes, (size_t)len};
	CHECK_STR(read_bytes(&r, "a.p7b", der), "");
	CHECK(r.n == 2 && !r.is_other);
	CHECK_STR(r.format, "PKCS7");
	CHECK_STR(read_text(&r, "a.p7c", pem_write(r.a, "PKCS7", der)), "");
	CHECK(r.n == 2 && !r.is_other);
	CHECK_STR(read_bytes(&r, "a.p7b", r.der),
	    "it is no PKCS#7 file of certificates");
	CHECK_STR(read_text(&r, "a.p7b", r.cert),
	    "it is no PKCS#7 file of certificates");
	OPENSSL_free(bytes);
	PKCS7_free(file);
	rig_fini(&r);
}

CHECK_MAIN(CHECK_ROW(names), CHECK_ROW(pem), CHECK_ROW(der), CHECK_ROW(pkcs12),
    CHECK_ROW(pkcs7))
