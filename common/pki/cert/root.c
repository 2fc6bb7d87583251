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
#include "common/pki/key/alg.h"
#include "common/pki/key/key.h"

#define SERIAL_BYTES 20

static bool
set_serial(X509 *x)
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

static bool
set_time(ASN1_TIME *t, int64_t unix_time)
{
	return ASN1_TIME_adj(t, (time_t)unix_time, 0, 0) != NULL;
}

static bool
add_extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;
	int ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
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

	return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
	       X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
		   (const unsigned char *)common_name, -1, -1, 0) == 1 &&
	       X509_set_issuer_name(x, name) == 1 &&
	       set_time(X509_getm_notBefore(x), not_before) &&
	       set_time(X509_getm_notAfter(x), not_after) &&
	       X509_set_pubkey(x, key) == 1 &&
	       add_extension(x, NID_basic_constraints, "critical,CA:TRUE") &&
	       add_extension(x, NID_key_usage,
		   "critical,keyCertSign,cRLSign") &&
	       add_extension(x, NID_subject_key_identifier, "hash") &&
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
