/*
 * The reader of requests against OpenSSL's.  What ours accepts, OpenSSL must
 * accept, with the same subject, key, names and judgement of the signature,
 * and a certificate built from it must be one that OpenSSL reads.
 *
 * Input: DER (a first octet of 0x30), which is wrapped here, or PEM.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/arena.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/cert/certbuild.h"
#include "common/pki/csr/csr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_csr: %s\n", what);
		abort();
	}
}

static void
must_equal(struct span ours, unsigned char *der, int len, const char *what)
{
	must(len > 0 && span_equal(ours, (struct span){der, (size_t)len}),
	    what);
	OPENSSL_free(der);
}

static void
compare_san(const struct san *ours, const GENERAL_NAME *g)
{
	static const int types[] = {[SAN_DNS] = GEN_DNS,
	    [SAN_IP] = GEN_IPADD,
	    [SAN_EMAIL] = GEN_EMAIL,
	    [SAN_URI] = GEN_URI};
	const ASN1_STRING *s = g->d.ia5;
	size_t len;

	must(g->type == types[ours->type], "a name of another kind");
	len = (size_t)ASN1_STRING_length(s);
	if (ours->type == SAN_IP) {
		must(len == 4 || len == 16, "an address of odd length");
		return;
	}
	must(strlen(ours->text) == len, "a name of another length");
	must(strncasecmp(ours->text, (const char *)ASN1_STRING_get0_data(s),
		 len) == 0,
	    "another name");
}

static void
compare_sans(const struct csr *c, X509_REQ *req)
{
	STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(req);
	GENERAL_NAMES *names;
	int critical;

	names = X509V3_get_d2i(exts, NID_subject_alt_name, &critical, NULL);
	/* OpenSSL also knows a request attribute of Microsoft's. */
	if (c->nsans > 0) {
		must(names != NULL, "names only we see");
		must((size_t)sk_GENERAL_NAME_num(names) == c->nsans,
		    "another number of names");
		for (size_t i = 0; i < c->nsans; i++)
			compare_san(&c->sans[i],
			    sk_GENERAL_NAME_value(names, (int)i));
	}
	GENERAL_NAMES_free(names);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
}

static void
compare_signature(const struct csr *c, X509_REQ *req)
{
	EVP_PKEY *key = X509_REQ_get0_pubkey(req);
	bool theirs = key && X509_REQ_verify(req, key) == 1;

	must((csr_verify(c) == RC_OK) == theirs, "another judgement");
}

static void
compare(const struct csr *c)
{
	const uint8_t *p = c->der.p;
	X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)c->der.len);
	unsigned char *der = NULL;
	int len;

	must(req != NULL, "OpenSSL refuses the request");
	must(p == c->der.p + c->der.len, "OpenSSL leaves bytes");
	len = i2d_X509_NAME(X509_REQ_get_subject_name(req), &der);
	must_equal(c->subject, der, len, "another subject");
	der = NULL;
	len = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(req), &der);
	must_equal(c->spki, der, len, "another key");
	compare_sans(c, req);
	compare_signature(c, req);
	X509_REQ_free(req);
}

static struct certbuild *
ca(void)
{
	static struct certbuild *b;
	EVP_PKEY *key;
	X509 *root;
	rc code;

	if (b)
		return b;
	code = certbuild_root("Fuzz CA", 0, 1, &root, &key);
	must(code == RC_OK, "no root");
	code = certbuild_new(root, key, &b);
	must(code == RC_OK, "no CA");
	X509_free(root);
	EVP_PKEY_free(key);
	return b;
}

static void
issue(struct arena *a, const struct csr *c)
{
	static const char *const urls[] = {"http://crl.example/", NULL};
	struct leaf_spec spec = {
	    .serial_hex = "5000000000000000000000000000000000000001",
	    .not_after_unix = 1,
	    .crl_urls = urls,
	    .csr = c,
	};
	struct span tbs, der;
	GENERAL_NAMES *names;
	const uint8_t *p;
	X509 *x;
	rc code;

	code = certbuild_tbs(ca(), a, &spec, &tbs);
	must(code == RC_OK, "no template");
	code = certbuild_sign(ca(), a, tbs, &der);
	must(code == RC_OK, "no signature");
	p = der.p;
	x = d2i_X509(NULL, &p, (long)der.len);
	must(x && p == der.p + der.len, "OpenSSL refuses the certificate");
	names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	must((size_t)sk_GENERAL_NAME_num(names) == c->nnames,
	    "another number of names in the certificate");
	for (size_t i = 0; i < c->nnames; i++)
		compare_san(&c->names[i], sk_GENERAL_NAME_value(names, (int)i));
	must(X509_NAME_entry_count(X509_get_subject_name(x)) ==
		 (c->leaf_common_name ? 1 : 0),
	    "more in the subject than a common name");
	GENERAL_NAMES_free(names);
	X509_free(x);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {data, size};
	const char *text = (const char *)data, *why = NULL;
	struct arena *a = arena_new();
	struct csr c;
	size_t len = size;
	rc code;

	if (size > 0 && data[0] == 0x30) {
		text = pem_write(a, "CERTIFICATE REQUEST", in);
		len = strlen(text);
	}
	code = csr_parse(a, text, len, &c, &why);
	if (code == RC_OK) {
		compare(&c);
		issue(a, &c);
	} else {
		must(why != NULL && why[0], "no reason");
	}
	ERR_clear_error();
	arena_free(a);
	return 0;
}
