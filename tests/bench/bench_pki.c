/*
 * bench_pki: microseconds a certificate costs, by step, ours beside OpenSSL's
 * own API in the same run.
 *
 *	bench_pki [rounds]
 *
 * Each figure is the median of five passes.  Absolute figures drift with the
 * machine; the ratio at the end of each line is what to compare.
 */
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/attr.h"
#include "common/base/enc.h"
#include "common/pki/cert/cert.h"
#include "common/pki/cert/certbuild.h"
#include "common/pki/csr/csr.h"
#include "common/pki/key/key.h"

#define PASSES 5
#define FROM 1800000000
#define TO (FROM + 90 * 86400)
#define SERIAL "5018e3a6b0ff00112233445566778899aabbccdd"

static const char *const ekus[] = {"serverAuth", "clientAuth", NULL};
static const char *const sans[] = {"www.example.com", "example.com"};

static struct {
	char *pem;
	struct csr csr;
	X509_REQ *req;
	X509 *ca;
	EVP_PKEY *ca_key;
	struct certbuild *b;
	struct span tbs;
	struct span der;
	X509 *unsigned_leaf;
	X509 *leaf;
} in;

static void
need(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "bench_pki: %s failed\n", what);
		exit(1);
	}
}

static struct csr
parse(struct arena *a)
{
	const char *why;
	struct csr c;

	need(csr_parse(a, in.pem, strlen(in.pem), &c, &why) == RC_OK,
	    "csr_parse");
	return c;
}

static struct span
build(struct arena *a, const struct csr *c)
{
	struct leaf_spec spec = {.serial_hex = SERIAL,
	    .not_before_unix = FROM,
	    .not_after_unix = TO,
	    .ekus = ekus,
	    .csr = c};
	struct span tbs;

	need(certbuild_tbs(in.b, a, &spec, &tbs) == RC_OK, "certbuild_tbs");
	return tbs;
}

static struct span
sign(struct arena *a, struct span tbs)
{
	struct span der;

	need(certbuild_sign(in.b, a, tbs, &der) == RC_OK, "certbuild_sign");
	return der;
}

static void
encode(struct arena *a, struct span tbs, struct span der)
{
	char hex[65], *pem;

	enc_sha256_hex(tbs.p, tbs.len, hex);
	need(cert_to_pem(a, der.p, der.len, &pem) == RC_OK, "cert_to_pem");
}

static void
our_parse(struct arena *a)
{
	(void)parse(a); /* the time is what counts */
}

static void
our_verify(struct arena *a)
{
	need(csr_verify(&in.csr) == RC_OK, "csr_verify");
}

static void
our_tbs(struct arena *a)
{
	(void)build(a, &in.csr); /* the time is what counts */
}

static void
our_sign(struct arena *a)
{
	(void)sign(a, in.tbs); /* the time is what counts */
}

static void
our_encode(struct arena *a)
{
	encode(a, in.tbs, in.der);
}

static void
our_whole(struct arena *a)
{
	struct csr c = parse(a);
	struct span tbs;

	need(csr_verify(&c) == RC_OK, "csr_verify");
	tbs = build(a, &c);
	encode(a, tbs, sign(a, tbs));
}

static X509_REQ *
ssl_read(void)
{
	BIO *bio = BIO_new_mem_buf(in.pem, -1);
	X509_REQ *req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);

	BIO_free(bio);
	need(req != NULL && X509_REQ_get0_pubkey(req) != NULL, "reading");
	return req;
}

static void
ssl_parse(struct arena *a)
{
	X509_REQ_free(ssl_read());
}

static void
ssl_verify(struct arena *a)
{
	need(X509_REQ_verify(in.req, X509_REQ_get0_pubkey(in.req)) == 1,
	    "X509_REQ_verify");
}

static void
ssl_add(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, ctx, nid, value);

	need(ext && X509_add_ext(x, ext, -1) == 1, "an extension");
	X509_EXTENSION_free(ext);
}

static X509 *
ssl_make(X509_REQ *req)
{
	STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(req);
	X509 *x = X509_new();
	X509V3_CTX ctx;
	BIGNUM *n = NULL;

	X509_set_version(x, X509_VERSION_3);
	BN_hex2bn(&n, SERIAL);
	BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
	X509_set_issuer_name(x, X509_get_subject_name(in.ca));
	X509_set_subject_name(x, X509_REQ_get_subject_name(req));
	ASN1_TIME_adj(X509_getm_notBefore(x), FROM, 0, 0);
	ASN1_TIME_adj(X509_getm_notAfter(x), TO, 0, 0);
	X509_set_pubkey(x, X509_REQ_get0_pubkey(req));
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, in.ca, x, NULL, NULL, 0);
	ssl_add(x, &ctx, NID_key_usage, "critical,digitalSignature");
	ssl_add(x, &ctx, NID_ext_key_usage, "serverAuth,clientAuth");
	ssl_add(x, &ctx, NID_basic_constraints, "critical,CA:FALSE");
	ssl_add(x, &ctx, NID_subject_key_identifier, "hash");
	ssl_add(x, &ctx, NID_authority_key_identifier, "keyid");
	for (int i = 0; i < sk_X509_EXTENSION_num(exts); i++)
		X509_add_ext(x, sk_X509_EXTENSION_value(exts, i), -1);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	return x;
}

static void
ssl_tbs(struct arena *a)
{
	X509_free(ssl_make(in.req));
}

static void
ssl_sign(struct arena *a)
{
	need(X509_sign(in.unsigned_leaf, in.ca_key, EVP_sha256()) > 0,
	    "X509_sign");
}

static void
ssl_write(X509 *x)
{
	BIO *bio = BIO_new(BIO_s_mem());

	need(PEM_write_bio_X509(bio, x) == 1, "writing");
	BIO_free(bio);
}

static void
ssl_encode(struct arena *a)
{
	unsigned char *der = NULL, digest[EVP_MAX_MD_SIZE];
	int len = i2d_re_X509_tbs(in.leaf, &der);

	EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	ssl_write(in.leaf);
}

static void
ssl_whole(struct arena *a)
{
	X509_REQ *req = ssl_read();
	X509 *x = ssl_make(req);

	need(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) == 1,
	    "X509_REQ_verify");
	need(X509_sign(x, in.ca_key, EVP_sha256()) > 0, "X509_sign");
	ssl_write(x);
	X509_free(x);
	X509_REQ_free(req);
}

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
measure(void (*fn)(struct arena *), int rounds)
{
	double pass[PASSES];

	for (int p = 0; p < PASSES; p++) {
		double start = now_us();

		for (int i = 0; i < rounds; i++) {
			struct arena *a = arena_new();

			fn(a);
			arena_free(a);
		}
		pass[p] = (now_us() - start) / rounds;
	}
	qsort(pass, PASSES, sizeof(pass[0]), compare);
	return pass[PASSES / 2];
}

static void
setup(struct arena *a)
{
	EVP_PKEY *key;
	const uint8_t *p;

	need(key_new_p256(&key) == RC_OK, "a key");
	need(csr_make(a, key, "www.example.com", sans, ARRAY_LEN(sans),
		 &in.pem) == RC_OK,
	    "csr_make");
	EVP_PKEY_free(key);
	need(certbuild_root("Bench CA", FROM, TO, &in.ca, &in.ca_key) == RC_OK,
	    "a root");
	need(certbuild_new(in.ca, in.ca_key, &in.b) == RC_OK, "certbuild_new");
	in.csr = parse(a);
	in.tbs = build(a, &in.csr);
	in.der = sign(a, in.tbs);
	in.req = ssl_read();
	p = in.der.p;
	in.leaf = d2i_X509(NULL, &p, (long)in.der.len);
	in.unsigned_leaf = ssl_make(in.req);
	need(in.leaf != NULL, "our certificate");
}

static void
teardown(void)
{
	X509_free(in.unsigned_leaf);
	X509_free(in.leaf);
	X509_REQ_free(in.req);
	certbuild_free(in.b);
	EVP_PKEY_free(in.ca_key);
	X509_free(in.ca);
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*ours)(struct arena *);
		void (*openssl)(struct arena *);
	} steps[] = {
	    {"csr parse", our_parse, ssl_parse},
	    {"csr verify", our_verify, ssl_verify},
	    {"build (tbs)", our_tbs, ssl_tbs},
	    {"sign", our_sign, ssl_sign},
	    {"hash and PEM", our_encode, ssl_encode},
	    {"whole", our_whole, ssl_whole},
	};
	struct arena *a = arena_new();
	int64_t rounds = 2000;
	double ours, theirs;

	if (argc > 1)
		need(enc_parse_i64(argv[1], 1, 1000000, &rounds) == RC_OK,
		    "the number of rounds");
	setup(a);
	printf("P-256, 2 names, %lld rounds, %s\n", (long long)rounds,
	    OpenSSL_version(OPENSSL_VERSION));
	printf("%-14s %10s %12s %8s\n", "step", "ours us", "openssl us",
	    "ratio");
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		ours = measure(steps[i].ours, (int)rounds);
		theirs = measure(steps[i].openssl, (int)rounds);
		printf("%-14s %10.2f %12.2f %8.1f\n", steps[i].name, ours,
		    theirs, theirs / ours);
	}
	teardown();
	arena_free(a);
	return 0;
}
