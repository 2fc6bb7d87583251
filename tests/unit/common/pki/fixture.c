#include "tests/unit/common/pki/fixture.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
need(int ok, const char *what)
{
	if (!ok) {
		printf("fixture: %s failed\n", what);
		abort();
	}
}

static EVP_PKEY *
key_make(const char *kind)
{
	if (strncmp(kind, "RSA:", 4) == 0)
		return EVP_RSA_gen((size_t)strtol(kind + 4, NULL, 10));
	if (strncmp(kind, "P-", 2) == 0 || strncmp(kind, "sec", 3) == 0)
		return EVP_EC_gen(kind);
	return EVP_PKEY_Q_keygen(NULL, NULL, kind);
}

EVP_PKEY *
fixture_key(const char *kind)
{
	static struct {
		const char *kind;
		EVP_PKEY *key;
	} made[16];
	size_t i = 0;

	for (; made[i].kind; i++) {
		if (strcmp(made[i].kind, kind) == 0)
			return made[i].key;
	}
	need(i < 15, "the list of keys");
	made[i].kind = kind;
	made[i].key = key_make(kind);
	need(made[i].key != NULL, kind);
	return made[i].key;
}

static void
add_san(GENERAL_NAMES *names, const struct fixture_san *s)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	int len = (int)(s->len ? s->len : strlen(s->bytes));
	ASN1_STRING *text;

	if (s->type == GEN_RID) {
		GENERAL_NAME_set0_value(g, GEN_RID, OBJ_txt2obj(s->bytes, 1));
	} else {
		text = s->type == GEN_IPADD ? ASN1_OCTET_STRING_new()
					    : ASN1_IA5STRING_new();
		need(ASN1_STRING_set(text, s->bytes, len), "a name");
		GENERAL_NAME_set0_value(g, s->type, text);
	}
	need(sk_GENERAL_NAME_push(names, g), "a name");
}

static void
add_sans(X509_REQ *req, const struct fixture_san *sans)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	STACK_OF(X509_EXTENSION) *exts = NULL;

	for (; sans->bytes; sans++)
		add_san(names, sans);
	need(X509V3_add1_i2d(&exts, NID_subject_alt_name, names, 0, 0),
	    "the extension");
	need(X509_REQ_add_extensions(req, exts), "the extensions");
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	GENERAL_NAMES_free(names);
}

static const EVP_MD *
digest_for(EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
}

X509_REQ *
fixture_req(EVP_PKEY *key, const struct fixture_attr *subject,
    const struct fixture_san *sans)
{
	X509_REQ *req = X509_REQ_new();
	X509_NAME *name = X509_NAME_new();

	for (; subject && subject->bytes; subject++) {
		X509_NAME_ENTRY *e = X509_NAME_ENTRY_new();
		int len =
		    (int)(subject->len ? subject->len : strlen(subject->bytes));

		/* Piece by piece: no limits of length or alphabet. */
		X509_NAME_ENTRY_set_object(e, OBJ_nid2obj(subject->nid));
		need(X509_NAME_ENTRY_set_data(e, subject->type,
			 (const unsigned char *)subject->bytes, len),
		    "an attribute");
		need(X509_NAME_add_entry(name, e, -1, 0), "an attribute");
		X509_NAME_ENTRY_free(e);
	}
	need(X509_REQ_set_subject_name(req, name), "the subject");
	X509_NAME_free(name);
	need(X509_REQ_set_pubkey(req, key), "the key");
	if (sans)
		add_sans(req, sans);
	need(X509_REQ_sign(req, key, digest_for(key)), "signing");
	return req;
}

char *
fixture_pem(struct arena *a, X509_REQ *req)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text, *copy;
	long len;

	need(PEM_write_bio_X509_REQ(bio, req), "writing");
	len = BIO_get_mem_data(bio, &text);
	copy = arena_strndup(a, text, (size_t)len);
	BIO_free(bio);
	return copy;
}

char *
fixture_csr(struct arena *a, EVP_PKEY *key, const struct fixture_attr *subject,
    const struct fixture_san *sans)
{
	X509_REQ *req = fixture_req(key, subject, sans);
	char *pem = fixture_pem(a, req);

	X509_REQ_free(req);
	return pem;
}

char *
fixture_simple(struct arena *a, EVP_PKEY *key, const char *cn, const char *dns)
{
	const struct fixture_attr subject[] = {{NID_commonName,
						   V_ASN1_UTF8STRING, cn},
	    {0}};
	const struct fixture_san sans[] = {{GEN_DNS, dns}, {0}};

	return fixture_csr(a, key, subject, dns ? sans : NULL);
}

char *
fixture_wrap(struct arena *a, const char *label, const uint8_t *der, size_t len)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text, *copy;
	long n;

	need(PEM_write_bio(bio, label, "", der, (long)len) > 0, "writing");
	n = BIO_get_mem_data(bio, &text);
	copy = arena_strndup(a, text, (size_t)n);
	BIO_free(bio);
	return copy;
}

static void
add_ext(X509 *x, const struct fixture_ext *e)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, e->nid, e->value);
	need(ext != NULL, "an extension");
	need(X509_add_ext(x, ext, -1), "an extension");
	X509_EXTENSION_free(ext);
}

X509 *
fixture_ca(EVP_PKEY *key, const char *cn, const struct fixture_ext *exts)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	need(X509_set_version(x, X509_VERSION_3), "the version");
	ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
	need(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
		 (const unsigned char *)cn, -1, -1, 0),
	    "the name");
	need(X509_set_issuer_name(x, name), "the name");
	need(ASN1_TIME_set_string_X509(X509_getm_notBefore(x),
		 "20000101000000Z"),
	    "a time");
	need(ASN1_TIME_set_string_X509(X509_getm_notAfter(x),
		 "20991231235959Z"),
	    "a time");
	need(X509_set_pubkey(x, key), "the key");
	for (; exts->nid; exts++)
		add_ext(x, exts);
	need(X509_sign(x, key, digest_for(key)), "signing");
	return x;
}

rc
fixture_parse(struct arena *a, const char *pem, struct csr *out,
    const char **out_why)
{
	return csr_parse(a, pem, strlen(pem), out, out_why);
}
