/*
 * Lists whose entries are the matter: as many as a list may have, odd ones, and
 * what of them is known here.  They are put together by hand and signed, for
 * OpenSSL makes none of these.
 */
#include "common/pki/cert/crlscan.h"

#include <string.h>

#include "common/base/attr.h"
#include "common/pki/asn1/der.h"
#include "common/pki/cert/cert.h"
#include "common/pki/cert/crlresult.h"
#include "tests/unit/check.h"
#include "tests/unit/common/pki/fixture.h"

#define NOW 1800000000
#define HOUR 3600
#define ROOM CRLRESULT_DER_MAX

static struct arena *a;
static X509 *ca;
static const char *issued[1]; /* a leaf of the CA and its chain */

#define SPAN(bytes) ((struct span){(const uint8_t *)(bytes), sizeof(bytes) - 1})

static const struct span ecdsa_sha256 =
    {(const uint8_t *)"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02", 12};
static const struct span ecdsa_sha384 =
    {(const uint8_t *)"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03", 12};

/* [0] of a number, 7, and what else there is. */
static void
put_extensions(struct der_out *w, size_t filling)
{
	static const struct span number =
	    {(const uint8_t
		     *)"\x30\x0a\x06\x03\x55\x1d\x14\x04\x03\x02\x01\x07",
		12};
	uint8_t *outer = der_mark(w), *inner, *one;

	inner = der_mark(w);
	if (filling > 0) {
		uint8_t *rest = arena_alloc(a, filling);

		one = der_mark(w);
		der_put_value(w, DER_OCTET_STRING,
		    (struct span){rest, filling});
		der_put_value(w, DER_OID, SPAN("\x2a\x03"));
		der_put_head(w, DER_SEQUENCE, one);
	}
	der_put_span(w, number);
	der_put_head(w, DER_SEQUENCE, inner);
	der_put_head(w, DER_CONTEXT_CONS, outer);
}

static struct span
sign(struct span tbs)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = 256;
	uint8_t *out = arena_alloc(a, len + 1); /* after "no bit is unused" */

	CHECK(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL,
		  fixture_key("P-256")) == 1);
	CHECK(EVP_DigestSign(ctx, out + 1, &len, tbs.p, tbs.len) == 1);
	EVP_MD_CTX_free(ctx);
	return (struct span){out, len + 1};
}

/* A list with these entries, whole, or none (p NULL). */
static struct span
make(struct span entries, struct span algorithm, size_t filling)
{
	uint8_t *room = arena_alloc(a, ROOM), *name = NULL;
	int len = i2d_X509_NAME(X509_get_subject_name(ca), &name);
	struct der_out w;
	struct span tbs;
	uint8_t *outer;

	der_out_init(&w, room, ROOM);
	outer = der_mark(&w);
	put_extensions(&w, filling);
	if (entries.p)
		der_put_value(&w, DER_SEQUENCE, entries);
	CHECK(der_put_time(&w, NOW + HOUR));
	CHECK(der_put_time(&w, NOW - HOUR));
	der_put(&w, name, (size_t)len);
	der_put_span(&w, algorithm);
	der_put_span(&w, SPAN("\x02\x01\x01"));
	der_put_head(&w, DER_SEQUENCE, outer);
	tbs = der_out_span(&w);
	OPENSSL_free(name);

	room = arena_alloc(a, ROOM);
	der_out_init(&w, room, ROOM);
	outer = der_mark(&w);
	der_put_value(&w, DER_BIT_STRING, sign(tbs));
	der_put_span(&w, ecdsa_sha256);
	der_put_span(&w, tbs);
	der_put_head(&w, DER_SEQUENCE, outer);
	CHECK(der_out_span(&w).len > 0);
	return der_out_span(&w);
}

static const char *
judge(struct span der, const struct crl_entry *revoked, size_t n,
    struct crlresult *out)
{
	const struct crlresult_rules rules = {.now_unix = NOW,
	    .issued = issued,
	    .nissued = 1,
	    .revoked = revoked,
	    .nrevoked = n};
	const char *why = NULL;
	rc code =
	    crlresult_read(a, &rules, (const char *)der.p, der.len, out, &why);

	CHECK_INT(code == RC_OK, why == NULL);
	return why ? why : "taken";
}

/* --- */

#define MANY 700000u
#define ENTRY_LEN 23

/* Serials from 0x01000000 on. */
static void
test_as_many_as_fit(void)
{
	uint8_t *all = arena_alloc(a, (size_t)MANY * ENTRY_LEN), *p = all;
	struct crl_entry revoked[2] = {{.reason = 1}, {.reason = 1}};
	struct crlresult out;

	for (uint32_t i = 0; i < MANY; i++, p += ENTRY_LEN) {
		memcpy(p,
		    "\x30\x15\x02\x04\x01---\x17\x0d"
		    "270101000000Z",
		    ENTRY_LEN);
		p[5] = (uint8_t)(i >> 16);
		p[6] = (uint8_t)(i >> 8);
		p[7] = (uint8_t)i;
	}
	memcpy(revoked[0].serial + 16, "\x01\x02\x03\x04", 4);
	memcpy(revoked[1].serial + 16, "\x7f\x02\x03\x04", 4);
	CHECK_STR(judge(make((struct span){all, (size_t)(p - all)},
			    ecdsa_sha256, 0),
		      revoked, 2, &out),
	    "taken");
	CHECK_INT(out.nentries, MANY);
	CHECK_INT(out.number, 7);
	CHECK_STR(out.lacks, "1 of what is revoked here is not in the CA's "
			     "list: 7f020304");
}

#define TIME \
	"\x17\x0d" \
	"270101000000Z"

static void
test_entries(void)
{
	static const char none[] = "one of its entries is none";
	static const struct {
		struct span entries;
		const char *why;
		bool has_five;
	} rows[] = {
	    {{NULL, 0}, NULL, false},
	    {SPAN(""), NULL, false},
	    {SPAN("\x30\x12\x02\x01\x05" TIME), NULL, true},
	    {SPAN("\x30\x13\x02\x02\x00\xf5" TIME), NULL, false},
	    /* Below 0, and longer than any of ours. */
	    {SPAN("\x30\x12\x02\x01\x85" TIME), NULL, false},
	    {SPAN("\x30\x26\x02\x15\x01"
		  "abcdefghijklmnopqrst" TIME),
		NULL, false},
	    /* Twice; the one is taken back. */
	    {SPAN("\x30\x12\x02\x01\x05" TIME "\x30\x12\x02\x01\x05" TIME),
		NULL, true},
	    {SPAN("\x30\x20\x02\x01\x05" TIME "\x30\x0c\x30\x0a\x06\x03\x55"
		  "\x1d\x15\x04\x03\x0a\x01\x08"),
		NULL, false},
	    {SPAN("\x30\x20\x02\x01\x05" TIME "\x30\x0c\x30\x0a\x06\x03\x55"
		  "\x1d\x15\x04\x03\x0a\x01\x01"),
		NULL, true},
	    {SPAN("\x30\x23\x02\x01\x05" TIME "\x30\x0f\x30\x0d\x06\x03\x55"
		  "\x1d\x1d\x01\x01\xff\x04\x03\x0a\x01\x01"),
		"a critical extension", false},
	    {SPAN("\x30\x13\x02\x02\x00\x05" TIME), none, false},
	    {SPAN("\x30\x11\x02\x00" TIME), none, false},
	    {SPAN("\x30\x03\x02\x01\x05"), none, false},
	    {SPAN("\x30\x14\x02\x01\x05" TIME "\x05\x00"), none, false},
	    {SPAN("\x30\x12\x02\x01\x05" TIME "\x05\x00"), none, false},
	    {SPAN("\x30\x81\x12\x02\x01\x05" TIME), none, false},
	};
	struct crl_entry five = {.reason = 1};

	five.serial[CRL_SERIAL_BYTES - 1] = 5;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct crlresult out = {.nentries = 0};
		const char *said = judge(make(rows[i].entries, ecdsa_sha256, 0),
		    &five, 1, &out);

		if (!rows[i].why)
			CHECK_STR(said, "taken");
		else if (!strstr(said, rows[i].why))
			CHECK_STR(said, rows[i].why);
		if (!rows[i].why)
			CHECK_INT(out.lacks == NULL, rows[i].has_five);
	}
}

static void
test_what_stands_once(void)
{
	static const struct span none = {NULL, 0};
	struct crlresult out;

	CHECK_STR(judge(make(none, ecdsa_sha256, 60000), NULL, 0, &out),
	    "taken");
	CHECK(strstr(judge(make(none, ecdsa_sha256, 70000), NULL, 0, &out),
		  "longer than 64 KiB") != NULL);
	/* Of what is signed, and beside it (RFC 5280 section 5.1.1.2). */
	CHECK(strstr(judge(make(none, ecdsa_sha384, 0), NULL, 0, &out),
		  "is not in DER") != NULL);
}

static void
with_ca(void (*test)(void))
{
	static const struct fixture_ext exts[] = {{NID_basic_constraints,
						      "critical,CA:TRUE"},
	    {0}};
	char *pem = NULL;

	a = arena_new();
	ca = fixture_ca(fixture_key("P-256"), "Test CA", exts);
	/* Its own certificate is one that it issued. */
	CHECK_INT(cert_x509_pem(a, ca, &pem), RC_OK);
	issued[0] = pem;
	test();
	X509_free(ca);
	arena_free(a);
}

static void
lists_are_cut(void)
{
	with_ca(test_as_many_as_fit);
	with_ca(test_entries);
	with_ca(test_what_stands_once);
}

CHECK_MAIN(CHECK_ROW(lists_are_cut))
