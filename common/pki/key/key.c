#include "common/pki/key/key.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "common/pki/key/alg.h"

/* An RSA key of 16384 bits takes 13 KB. */
#define KEY_PEM_MAX (64 * 1024)

rc
key_new_p256(EVP_PKEY **out)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	if (!key) {
		ERR_clear_error();
		return RC_CRYPTO;
	}
	*out = key;
	return RC_OK;
}

int
key_no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

rc
key_from_pem(const void *pem, size_t len, EVP_PKEY **out)
{
	EVP_PKEY *key;
	BIO *bio;
	int size;

	if (len < 1 || len > KEY_PEM_MAX)
		return RC_INVALID;
	bio = BIO_new_mem_buf(pem, (int)len);
	if (!bio)
		return RC_CRYPTO;
	key = PEM_read_bio_PrivateKey(bio, NULL, key_no_passphrase, NULL);
	BIO_free(bio);
	ERR_clear_error();
	if (!key)
		return RC_INVALID;
	if (!key_algorithm(key, &size)[0]) {
		EVP_PKEY_free(key);
		return RC_INVALID;
	}

	*out = key;
	return RC_OK;
}

rc
key_to_pem(const EVP_PKEY *key, struct secret **out)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	rc ret = RC_CRYPTO;
	char *text;
	long len;
	int ok;

	if (!bio)
		return RC_CRYPTO;
	ok = PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	if (ok == 1) {
		len = BIO_get_mem_data(bio, &text);
		*out = secret_new(text, (size_t)len);
		ret = RC_OK;
	}
	BIO_free(bio); /* wipes: it is of the secure kind */
	ERR_clear_error();
	return ret;
}

const char *
key_algorithm(const EVP_PKEY *key, int *out_size)
{
	*out_size = 0;
	if (EVP_PKEY_is_a(key, "RSA")) {
		*out_size = EVP_PKEY_get_bits(key);
		return ALG_RSA;
	}
	if (EVP_PKEY_is_a(key, "EC")) {
		*out_size = EVP_PKEY_get_bits(key);
		return ALG_ECDSA;
	}
	if (EVP_PKEY_is_a(key, "ED25519"))
		return ALG_ED25519;
	return "";
}
