#include "common/pki/cert/cert.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/key/alg.h"
#include "common/pki/key/key.h"

#define BUNDLE_MAX (256 * 1024)
#define SERIAL_BYTES 20

rc
cert_from_pem(const char *pem, size_t len, X509 **out)
{
	struct span der = {0};
	struct arena *a;
	const uint8_t *p;
	X509 *x = NULL;
	rc ret;

	if (len > BUNDLE_MAX)
		return RC_INVALID;
	a = arena_new();
	ret = pem_read(a, "CERTIFICATE", pem, len, &der, NULL);
	if (ret == RC_OK) {
		p = der.p;
		x = d2i_X509(NULL, &p, (long)der.len);
		if (x && p != der.p + der.len) {
			X509_free(x);
			x = NULL;
		}
	}
	arena_free(a);
	ERR_clear_error();
	if (!x)
		return RC_INVALID;

	*out = x;
	return RC_OK;
}

rc
cert_time(const ASN1_TIME *t, int64_t *out)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return RC_INVALID;
	*out = (int64_t)timegm(&tm);
	return RC_OK;
}

/* The last one, which is the most specific. */
static rc
read_common_name(struct arena *a, X509 *x, const char **out)
{
	const X509_NAME *name = X509_get_subject_name(x);
	const X509_NAME_ENTRY *entry;
	unsigned char *text = NULL;
	int at = -1, next, len;

	*out = "";
	for (;;) {
		next = X509_NAME_get_index_by_NID(name, NID_commonName, at);
		if (next < 0)
			break;
		at = next;
	}
	if (at < 0)
		return RC_OK;
	entry = X509_NAME_get_entry(name, at);
	len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
	if (len < 0 || memchr(text, '\0', (size_t)len)) {
		OPENSSL_free(text);
		return RC_INVALID;
	}
	*out = arena_strndup(a, (const char *)text, (size_t)len);
	OPENSSL_free(text);
	return RC_OK;
}

/* RFC 2253, but letters beyond ASCII stay letters. */
static rc
read_issuer(struct arena *a, X509 *x, const char **out)
{
	unsigned long flags = XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB;
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long len;
	int n;

	if (!bio)
		return RC_CRYPTO;
	n = X509_NAME_print_ex(bio, X509_get_issuer_name(x), 0, flags);
	len = BIO_get_mem_data(bio, &text);
	if (n >= 0)
		*out = arena_strndup(a, text, (size_t)len);
	BIO_free(bio);
	return n >= 0 ? RC_OK : RC_INVALID;
}

static rc
read_fingerprint(X509 *x, char out[65])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len;

	if (X509_digest(x, alg_md(ALG_SHA256), digest, &len) != 1)
		return RC_CRYPTO;
	enc_hex(digest, len, out);
	return RC_OK;
}

static rc
read_fields(struct arena *a, X509 *x, struct cert_info *out)
{
	EVP_PKEY *key = X509_get0_pubkey(x);
	rc ret;

	out->key_algorithm = key ? key_algorithm(key, &out->key_size) : "";
	out->is_ca = (X509_get_extension_flags(x) & EXFLAG_CA) != 0;
	ret = cert_serial_hex(X509_get0_serialNumber(x), out->serial_hex);
	if (ret == RC_OK)
		ret = read_fingerprint(x, out->fingerprint_sha256);
	if (ret == RC_OK)
		ret = cert_time(X509_get0_notBefore(x), &out->not_before_unix);
	if (ret == RC_OK)
		ret = cert_time(X509_get0_notAfter(x), &out->not_after_unix);
	if (ret == RC_OK)
		ret = read_common_name(a, x, &out->common_name);
	if (ret == RC_OK)
		ret = read_issuer(a, x, &out->issuer_dn);
	return ret;
}

rc
cert_read(struct arena *a, X509 *x, struct cert_info *out)
{
	struct cert_info info = {0};
	rc ret;

	ret = read_fields(a, x, &info);
	ERR_clear_error();
	if (ret == RC_OK)
		*out = info;
	return ret;
}

rc
cert_to_pem(struct arena *a, const uint8_t *der, size_t len, char **out)
{
	if (len < 1 || len > BUNDLE_MAX / 2)
		return RC_INVALID;
	*out = pem_write(a, "CERTIFICATE", (struct span){der, len});
	return RC_OK;
}

rc
cert_x509_pem(struct arena *a, const X509 *x, char **out)
{
	unsigned char *der = NULL;
	int len = i2d_X509(x, &der);
	rc ret;

	if (len < 1)
		return RC_CRYPTO;
	ret = cert_to_pem(a, der, (size_t)len, out);
	OPENSSL_free(der);
	return ret;
}

rc
cert_match_key(X509 *x, EVP_PKEY *key)
{
	EVP_PKEY *own = X509_get0_pubkey(x);
	int equal;

	if (!own || !key)
		return RC_INVALID;
	equal = EVP_PKEY_eq(own, key);
	ERR_clear_error();
	return equal == 1 ? RC_OK : RC_INVALID;
}

rc
cert_key_id(const X509 *x, char out[65])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len;

	if (X509_pubkey_digest(x, alg_md(ALG_SHA256), digest, &len) != 1) {
		ERR_clear_error();
		return RC_CRYPTO;
	}
	enc_hex(digest, len, out);
	return RC_OK;
}

rc
cert_serial_hex(const ASN1_INTEGER *serial, char out[41])
{
	const uint8_t *p = ASN1_STRING_get0_data(serial);
	int len = ASN1_STRING_length(serial);
	uint8_t bytes[SERIAL_BYTES] = {0};

	/* OpenSSL keeps the magnitude here, and the sign in the type. */
	if (ASN1_STRING_type(serial) != V_ASN1_INTEGER)
		return RC_INVALID;
	while (len > 0 && *p == 0) {
		p++;
		len--;
	}
	if (len > SERIAL_BYTES)
		return RC_INVALID;
	if (len > 0)
		memcpy(bytes + SERIAL_BYTES - len, p, (size_t)len);
	enc_hex(bytes, SERIAL_BYTES, out);
	return RC_OK;
}

const char *
cert_time_text(struct arena *a, int64_t unix_s)
{
	char text[32];

	/* A year past 9999 does not fit RFC 3339. */
	if (unix_s < 0 || unix_s > 253402300799)
		return "a year that is none";
	clock_format_rfc3339(unix_s * 1000000, text);
	return arena_strdup(a, text);
}
