#include "tests/unit/common/bus/testcert.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct testca {
	EVP_PKEY *key;
	X509 *cert;
	long serial;
};

static bool
add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;
	int ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (!ext)
		return false;
	ok = X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	return ok == 1;
}

static X509 *
make_cert(struct testca *ca, EVP_PKEY *key, const char *cn, const char *san)
{
	X509 *cert = X509_new();
	X509 *issuer = ca->cert ? ca->cert : cert;
	bool ok;

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++ca->serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN",
	    MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(issuer));
	ok = add_ext(cert, issuer, NID_basic_constraints,
	    san ? "critical,CA:FALSE" : "critical,CA:TRUE");
	if (san)
		ok = ok && add_ext(cert, issuer, NID_subject_alt_name, san);
	ok = ok && X509_sign(cert, ca->key, EVP_sha256()) > 0;
	if (!ok) {
		X509_free(cert);
		return NULL;
	}
	return cert;
}

static FILE *
create(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	return fd < 0 ? NULL : fdopen(fd, "w");
}

static bool
write_cert(const char *path, X509 *cert)
{
	FILE *f = create(path);
	int ok;

	if (!f)
		return false;
	ok = PEM_write_X509(f, cert);
	return fclose(f) == 0 && ok == 1;
}

static bool
write_key(const char *path, EVP_PKEY *key)
{
	FILE *f = create(path);
	int ok;

	if (!f)
		return false;
	ok = PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	return fclose(f) == 0 && ok == 1;
}

struct testca *
testca_new(const char *cn, const char *path)
{
	struct testca *ca = calloc(1, sizeof(*ca));

	if (!ca)
		return NULL;
	ca->key = EVP_EC_gen("P-256");
	if (ca->key)
		ca->cert = make_cert(ca, ca->key, cn, NULL);
	if (!ca->cert || !write_cert(path, ca->cert)) {
		testca_free(ca);
		return NULL;
	}
	return ca;
}

void
testca_free(struct testca *ca)
{
	if (!ca)
		return;
	X509_free(ca->cert);
	EVP_PKEY_free(ca->key);
	free(ca);
}

bool
testca_issue(struct testca *ca, const char *dns, const char *cert_path,
    const char *key_path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = NULL;
	char san[256];
	bool ok;

	(void)snprintf(san, sizeof(san), "DNS:%s", dns);
	if (key)
		cert = make_cert(ca, key, dns, san);
	ok = cert && write_cert(cert_path, cert) && write_key(key_path, key);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ok;
}
