#include "common/pki/key/envelope.h"

#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/log/log.h"

#define CERT_MAX ((size_t)16 * 1024)
#define HEX_LEN 64
#define TAG_LEN 16

/* --- certificates --- */

static bool
is_ec(const EVP_PKEY *key)
{
	return key && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC;
}

static rc
read_cert(const void *bytes, size_t len, X509 **out)
{
	BIO *in = BIO_new_mem_buf(bytes, (int)len);
	X509 *x = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;

	BIO_free(in);
	if (!x || !is_ec(X509_get0_pubkey(x))) {
		X509_free(x);
		return RC_INVALID;
	}
	*out = x;
	return RC_OK;
}

rc
envelope_cert_read(struct arena *a, const char *path, X509 **out,
    const char **out_why)
{
	size_t len;
	char *text;
	rc ret = file_read(a, path, CERT_MAX, &text, &len);

	if (ret != RC_OK) {
		*out_why = arena_printf(a, "%s can't be read", path);
		return RC_IO;
	}
	ret = read_cert(text, len, out);
	if (ret != RC_OK)
		*out_why = arena_printf(a,
		    "%s holds no certificate in PEM of an EC key", path);
	return ret;
}

/* Of HEX_LEN + 1 bytes. */
static rc
fingerprint(const X509 *x, char *out)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len;

	if (X509_digest(x, EVP_sha256(), md, &len) != 1 || len * 2 != HEX_LEN)
		return RC_CRYPTO;
	enc_hex(md, len, out);
	return RC_OK;
}

/* --- sealing --- */

static bool
add_recipient(CMS_ContentInfo *cms, X509 *to)
{
	CMS_RecipientInfo *ri = CMS_add1_recipient_cert(cms, to, CMS_KEY_PARAM);
	EVP_PKEY_CTX *ctx = ri ? CMS_RecipientInfo_get0_pkey_ctx(ri) : NULL;

	return ctx && EVP_PKEY_CTX_set_ecdh_kdf_md(ctx, EVP_sha256()) == 1;
}

static rc
encrypt(struct arena *a, X509 *to, BIO *in, const char **out)
{
	CMS_ContentInfo *cms = CMS_encrypt(NULL, NULL, EVP_aes_256_gcm(),
	    CMS_BINARY | CMS_PARTIAL);
	unsigned char *der = NULL;
	int len = -1;

	if (cms && add_recipient(cms, to) &&
	    CMS_final(cms, in, NULL, CMS_BINARY) == 1)
		len = i2d_CMS_ContentInfo(cms, &der);
	CMS_ContentInfo_free(cms);
	ERR_clear_error();
	if (len <= 0)
		return RC_CRYPTO;
	*out = enc_base64(a, der, (size_t)len);
	OPENSSL_free(der);
	return RC_OK;
}

rc
envelope_seal(struct arena *a, X509 *to, const char *place, const char *text,
    struct envelope *out)
{
	char hex[HEX_LEN + 1];
	BIO *in = BIO_new(BIO_s_mem());
	rc ret;

	ret = in && BIO_printf(in, "%s\n", place) > 0 &&
		      BIO_write(in, text, (int)strlen(text)) > 0
		  ? fingerprint(to, hex)
		  : RC_CRYPTO;
	if (ret == RC_OK)
		ret = encrypt(a, to, in, &out->cms);
	if (ret == RC_OK)
		out->to = arena_strdup(a, hex);
	BIO_free(in); /* wipes */
	return ret;
}

/* --- opening --- */

struct pair {
	X509 *cert;
	EVP_PKEY *key;
	char to[HEX_LEN + 1];
};

struct envelope_keys {
	size_t n;
	struct pair pairs[];
};

static const char *
read_pair(const char *path, struct pair *p)
{
	struct secret *bytes;
	const char *why = NULL;
	BIO *in;
	rc ret;

	ret = secret_new_from_file(path, &bytes);
	if (ret != RC_OK)
		return ret == RC_INVALID ? "may be read by others (chmod 600)"
					 : "can't be read";
	in = BIO_new_mem_buf(secret_bytes(bytes), (int)secret_len(bytes));
	p->key = in ? PEM_read_bio_PrivateKey(in, NULL, NULL, NULL) : NULL;
	BIO_free(in);
	ret = read_cert(secret_bytes(bytes), secret_len(bytes), &p->cert);
	secret_free(bytes);
	if (ret != RC_OK || !is_ec(p->key))
		why = "does not hold an EC key and its certificate in PEM";
	else if (X509_check_private_key(p->cert, p->key) != 1)
		why = "holds a certificate of another key";
	else if (fingerprint(p->cert, p->to) != RC_OK)
		why = "can't be used";
	return why;
}

rc
envelope_keys_new(const char *const *paths, struct envelope_keys **out)
{
	struct envelope_keys *k;
	size_t n = 0;

	while (paths && paths[n])
		n++;
	k = mem_zalloc(sizeof(*k) + n * sizeof(k->pairs[0]));
	for (; k->n < n; k->n++) {
		const char *why = read_pair(paths[k->n], &k->pairs[k->n]);

		if (!why)
			continue;
		log_error("CONFIG", "CERTCTL_ISSUER_SECRETS_KEYS: %s %s",
		    paths[k->n], why);
		k->n++;
		envelope_keys_free(k);
		return RC_INVALID;
	}
	*out = k;
	return RC_OK;
}

void
envelope_keys_free(struct envelope_keys *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->n; i++) {
		X509_free(k->pairs[i].cert);
		EVP_PKEY_free(k->pairs[i].key);
	}
	free(k);
}

static const struct pair *
pair_of(const struct envelope_keys *keys, const char *to)
{
	for (size_t i = 0; keys && i < keys->n; i++)
		if (strcmp(keys->pairs[i].to, to) == 0)
			return &keys->pairs[i];
	return NULL;
}

/* The tag is the last that is in it, and OpenSSL takes it as short as it is. */
static bool
has_whole_tag(const uint8_t *der, size_t len)
{
	return len > TAG_LEN + 2 &&
	       der[len - TAG_LEN - 2] == V_ASN1_OCTET_STRING &&
	       der[len - TAG_LEN - 1] == TAG_LEN;
}

/* What stands behind the line of its place. */
static rc
take_text(BIO *out, const char *place, struct secret **out_text)
{
	size_t place_len = strlen(place);
	char *bytes;
	long len = BIO_get_mem_data(out, &bytes);

	if (len < 0 || (size_t)len <= place_len ||
	    memcmp(bytes, place, place_len) != 0 || bytes[place_len] != '\n')
		return RC_CRYPTO;
	*out_text =
	    secret_new(bytes + place_len + 1, (size_t)len - place_len - 1);
	return RC_OK;
}

rc
envelope_open(const struct envelope_keys *keys, const char *place,
    const struct envelope *e, struct secret **out)
{
	const struct pair *p = pair_of(keys, e->to);
	CMS_ContentInfo *cms = NULL;
	BIO *plain = NULL;
	struct arena *a;
	const unsigned char *at;
	uint8_t *der;
	size_t len;
	rc ret;

	if (!p)
		return RC_NOT_FOUND;
	a = arena_new();
	ret = enc_unbase64(a, e->cms, strlen(e->cms), &der, &len);
	if (ret == RC_OK && !has_whole_tag(der, len))
		ret = RC_CRYPTO;
	if (ret == RC_OK) {
		at = der;
		cms = d2i_CMS_ContentInfo(NULL, &at, (long)len);
		plain = BIO_new(BIO_s_mem());
		ret = cms && plain &&
			      CMS_decrypt(cms, p->key, p->cert, NULL, plain,
				  CMS_BINARY) == 1
			  ? take_text(plain, place, out)
			  : RC_CRYPTO;
	}
	BIO_free(plain); /* wipes */
	CMS_ContentInfo_free(cms);
	arena_free(a);
	ERR_clear_error();
	return ret == RC_OK ? RC_OK : RC_CRYPTO;
}

bool
envelope_is_to_first(const struct envelope_keys *keys, const char *to)
{
	return keys->n > 0 && strcmp(keys->pairs[0].to, to) == 0;
}

rc
envelope_reseal(struct arena *a, const struct envelope_keys *keys,
    const char *place, const struct envelope *e, struct envelope *out)
{
	struct secret *s;
	char *text;
	rc ret;

	ret = envelope_open(keys, place, e, &s);
	if (ret != RC_OK)
		return ret;
	text = mem_zalloc(secret_len(s) + 1);
	memcpy(text, secret_bytes(s), secret_len(s));
	ret = envelope_seal(a, keys->pairs[0].cert, place, text, out);
	mem_wipe(text, secret_len(s));
	free(text);
	secret_free(s);
	return ret;
}
