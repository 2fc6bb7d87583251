/*
 * The self-signed root of a local CA.  Made once in the life of a CA, so by
 * OpenSSL's own builders.
 */
#include "common/pki/cert/certbuild.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "common/base/rand.h"
#include "common/pki/asn1/name.h"
#include "common/pki/cert/ca_fill.h"
#include "common/pki/key/alg.h"
#include "common/pki/key/key.h"

#define SERIAL_BYTES 20

bool
ca_fill_serial(X509 *x)
{
	uint8_t bytes[SERIAL_BYTES];
	BIGNUM *n;
	bool done;

	rand_bytes(bytes, sizeof(bytes));
	/* Positive and of full length, so never in need of padding. */
	bytes[0] = (uint8_t)((bytes[0] & 0x3f) | 0x40);
	n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	done = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
	return done;
}

bool
ca_fill_times(X509 *x, int64_t not_before_unix, int64_t not_after_unix)
{
	return ASN1_TIME_adj(X509_getm_notBefore(x), (time_t)not_before_unix, 0,
		   0) &&
	       ASN1_TIME_adj(X509_getm_notAfter(x), (time_t)not_after_unix, 0,
		   0);
}

bool
ca_fill_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;
	int ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (!ext)
		return false;
	ok = X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
	return ok == 1;
}

static bool
fill(X509 *x, EVP_PKEY *key, const char *common_name, int64_t not_before,
    int64_t not_after)
{
	X509_NAME *name = X509_get_subject_name(x);

	return X509_set_version(x, X509_VERSION_3) == 1 && ca_fill_serial(x) &&
	       X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
		   (const unsigned char *)common_name, -1, -1, 0) == 1 &&
	       X509_set_issuer_name(x, name) == 1 &&
	       ca_fill_times(x, not_before, not_after) &&
	       X509_set_pubkey(x, key) == 1 &&
	       ca_fill_extension(x, x, NID_basic_constraints,
		   "critical,CA:TRUE") &&
	       ca_fill_extension(x, x, NID_key_usage,
		   "critical,keyCertSign,cRLSign") &&
	       ca_fill_extension(x, x, NID_subject_key_identifier, "hash") &&
	       X509_sign(x, key, alg_md(ALG_SHA256)) > 0;
}

rc
certbuild_root(const char *common_name, int64_t not_before_unix,
    int64_t not_after_unix, X509 **out_ca, EVP_PKEY **out_key)
{
	EVP_PKEY *key;
	X509 *x;
	rc ret;

	if (name_refuse_text(common_name, strlen(common_name)) ||
	    not_after_unix <= not_before_unix)
		return RC_INVALID;
	ret = key_new_p256(&key);
	if (ret != RC_OK)
		return ret;
	x = X509_new();
	if (!x || !fill(x, key, common_name, not_before_unix, not_after_unix)) {
		/* What is left to fail is a name longer than 64 letters. */
		X509_free(x);
		EVP_PKEY_free(key);
		ERR_clear_error();
		return RC_INVALID;
	}

	*out_ca = x;
	*out_key = key;
	return RC_OK;
}
