#include "acme_sign.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#define COORDINATE 32 /* bytes of P-256 */

char *
acme_b64url(const void *p, size_t len)
{
	char *out = malloc(len / 3 * 4 + 5);
	int n;

	if (!out)
		return NULL;
	n = EVP_EncodeBlock((unsigned char *)out, p, (int)len);
	while (n > 0 && out[n - 1] == '=')
		n--;
	out[n] = '\0';
	for (char *c = out; *c; c++)
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	return out;
}

static char *__attribute__((format(printf, 1, 2))) join(const char *format, ...)
{
	va_list ap;
	char *out;
	int n;

	va_start(ap, format);
	n = vasprintf(&out, format, ap);
	va_end(ap);
	return n < 0 ? NULL : out;
}

/* r and s, each of full length (RFC 7518 section 3.4). */
static char *
es256(EVP_PKEY *key, const char *text)
{
	unsigned char der[80], raw[2 * COORDINATE];
	const unsigned char *at = der;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = sizeof(der);
	ECDSA_SIG *sig = NULL;
	char *out = NULL;

	if (ctx &&
	    EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
	    EVP_DigestSign(ctx, der, &len, (const unsigned char *)text,
		strlen(text)) == 1)
		sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
	if (sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, COORDINATE) > 0 &&
	    BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + COORDINATE, COORDINATE) >
		0)
		out = acme_b64url(raw, sizeof(raw));
	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
	return out;
}

static char *
header(const struct acme_account *a, const char *url, const char *nonce)
{
	if (a->kid[0] != '\0')
		return join("{\"alg\":\"ES256\",\"kid\":\"%s\",\"nonce\":\"%"
			    "s\","
			    "\"url\":\"%s\"}%s",
		    a->kid, nonce, url, "");
	return join("{\"alg\":\"ES256\",\"jwk\":{\"crv\":\"P-256\",\"kty\":"
		    "\"EC\",\"x\":\"%s\",\"y\":\"%s\"},\"nonce\":\"%s\","
		    "\"url\":\"%s\"}",
	    a->x, a->y, nonce, url);
}

char *
acme_jws(const struct acme_account *a, const char *url, const char *nonce,
    const char *payload)
{
	char *head = header(a, url, nonce), *protected = NULL, *body = NULL;
	char *input = NULL, *signature = NULL, *out = NULL;

	if (head)
	protected = acme_b64url(head, strlen(head));
	body = acme_b64url(payload, strlen(payload));
	if (protected && body)
		input = join("%s.%s%s%s", protected, body, "", "");
	if (input)
		signature = es256(a->key, input);
	if (signature)
		out = join("{\"protected\":\"%s\",\"payload\":\"%s\","
			   "\"signature\":\"%s\"}%s",
		    protected, body, signature, "");
	free(head);
	free(protected);
	free(body);
	free(input);
	free(signature);
	return out;
}

static bool
coordinate(EVP_PKEY *key, const char *name, char *out, size_t room)
{
	unsigned char raw[COORDINATE];
	BIGNUM *n = NULL;
	char *text = NULL;

	if (EVP_PKEY_get_bn_param(key, name, &n) == 1 &&
	    BN_bn2binpad(n, raw, COORDINATE) > 0)
		text = acme_b64url(raw, sizeof(raw));
	if (text)
		snprintf(out, room, "%s", text);
	free(text);
	BN_free(n);
	return text != NULL;
}

bool
acme_account_describe(struct acme_account *a)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	char *canonical, *text = NULL;

	if (!coordinate(a->key, OSSL_PKEY_PARAM_EC_PUB_X, a->x, sizeof(a->x)) ||
	    !coordinate(a->key, OSSL_PKEY_PARAM_EC_PUB_Y, a->y, sizeof(a->y)))
		return false;
	canonical = join("{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":"
			 "\"%s\"}%s%s",
	    a->x, a->y, "", "");
	if (canonical &&
	    SHA256((const unsigned char *)canonical, strlen(canonical), digest))
		text = acme_b64url(digest, sizeof(digest));
	if (text)
		snprintf(a->thumbprint, sizeof(a->thumbprint), "%s", text);
	free(canonical);
	free(text);
	return a->thumbprint[0] != '\0';
}

static bool
add_name(X509_REQ *req, const char *type, const char *value)
{
	STACK_OF(X509_EXTENSION) *all = sk_X509_EXTENSION_new_null();
	char *san = join("%s:%s%s%s", strcmp(type, "ip") == 0 ? "IP" : "DNS",
	    value, "", "");
	X509_EXTENSION *one = NULL;
	bool is_ok;

	if (san)
		one =
		    X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	is_ok = all && one && sk_X509_EXTENSION_push(all, one) > 0 &&
		X509_REQ_add_extensions(req, all) == 1;
	X509_EXTENSION_free(one);
	sk_X509_EXTENSION_free(all);
	free(san);
	return is_ok;
}

char *
acme_csr(const char *type, const char *value)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	X509_REQ *req = X509_REQ_new();
	unsigned char *der = NULL;
	char *out = NULL;
	int len = 0;

	if (key && req && X509_REQ_set_version(req, 0) == 1 &&
	    X509_REQ_set_pubkey(req, key) == 1 && add_name(req, type, value) &&
	    X509_REQ_sign(req, key, EVP_sha256()) > 0)
		len = i2d_X509_REQ(req, &der);
	if (len > 0)
		out = acme_b64url(der, (size_t)len);
	OPENSSL_free(der);
	X509_REQ_free(req);
	EVP_PKEY_free(key);
	return out;
}
