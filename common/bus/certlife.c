#include "common/bus/certlife.h"

#include <limits.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "common/base/secret.h"
#include "common/pki/key/key.h"

/* What the three files hold; NULL where one does not. */
struct held {
	STACK_OF(X509) * chain; /* our certificate first */
	STACK_OF(X509) * cas;
	EVP_PKEY *key;
};

static STACK_OF(X509) * read_certs(const char *file)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	BIO *in = BIO_new_file(file, "r");
	X509 *x;

	while (in && certs && (x = PEM_read_bio_X509(in, NULL, NULL, NULL)))
		if (sk_X509_push(certs, x) == 0)
			X509_free(x);
	ERR_clear_error(); /* the end of the file counts as an error */
	BIO_free(in);
	if (sk_X509_num(certs) > 0)
		return certs;
	sk_X509_free(certs);
	return NULL;
}

static EVP_PKEY *
read_key(const char *file)
{
	struct secret *text = NULL;
	EVP_PKEY *key = NULL;
	BIO *in;

	if (secret_new_from_file(file, &text) != RC_OK)
		return NULL;
	in = BIO_new_mem_buf(secret_bytes(text), (int)secret_len(text));
	if (in)
		key =
		    PEM_read_bio_PrivateKey(in, NULL, key_no_passphrase, NULL);
	BIO_free(in);
	secret_free(text);
	ERR_clear_error();
	return key;
}

static void
held_fini(struct held *h)
{
	sk_X509_pop_free(h->chain, X509_free);
	sk_X509_pop_free(h->cas, X509_free);
	EVP_PKEY_free(h->key);
}

static int64_t
unix_of(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : INT64_MAX;
}

/* The chain that was found; the caller pops and frees it.  NULL: none. */
static STACK_OF(X509) * verify(const struct held *h, const char **out_why)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *path = NULL;

	*out_why = "out of memory";
	if (ctx && X509_STORE_CTX_init(ctx, NULL, sk_X509_value(h->chain, 0),
		       h->chain) == 1) {
		X509_STORE_CTX_set0_trusted_stack(ctx, h->cas);
		/* As mbedTLS does: any certificate of the CA's file is a
		 * place to end. */
		X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx),
		    X509_V_FLAG_PARTIAL_CHAIN);
		if (X509_verify_cert(ctx) == 1)
			path = X509_STORE_CTX_get1_chain(ctx);
		else
			*out_why = X509_verify_cert_error_string(
			    X509_STORE_CTX_get_error(ctx));
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return path;
}

rc
certlife_read(const struct bus_tls *files, struct certlife *out)
{
	struct held h = {.chain = read_certs(files->cert_file),
	    .cas = read_certs(files->ca_file)};
	STACK_OF(X509) *path = NULL;
	const char *why;
	int64_t end;
	rc ret = h.chain && h.cas ? RC_OK : RC_INVALID;

	if (ret == RC_OK) {
		X509 *own = sk_X509_value(h.chain, 0);

		*out = (struct certlife){
		    .begins_unix = unix_of(X509_get0_notBefore(own)),
		    .ends_unix = unix_of(X509_get0_notAfter(own)),
		};
		path = verify(&h, &why);
	}
	for (int i = 1; i < sk_X509_num(path); i++) {
		end = unix_of(X509_get0_notAfter(sk_X509_value(path, i)));
		if (end < out->ends_unix)
			out->ends_unix = end;
	}
	sk_X509_pop_free(path, X509_free);
	held_fini(&h);
	return ret;
}

static bool
is_pair(const struct held *h)
{
	bool is =
	    h->chain && h->key &&
	    X509_check_private_key(sk_X509_value(h->chain, 0), h->key) == 1;

	ERR_clear_error();
	return is;
}

bool
certlife_is_pair(const struct bus_tls *files)
{
	struct held h = {.chain = read_certs(files->cert_file),
	    .key = read_key(files->key_file)};
	bool is = is_pair(&h);

	held_fini(&h);
	return is;
}

rc
certlife_prove(const struct bus_tls *files, const char **out_why)
{
	struct held h = {.chain = read_certs(files->cert_file),
	    .cas = read_certs(files->ca_file),
	    .key = read_key(files->key_file)};
	STACK_OF(X509) *path = NULL;

	if (!h.chain)
		*out_why = "no certificate in CERTCTL_BUS_CERT";
	else if (!h.cas)
		*out_why = "no certificate in CERTCTL_BUS_CA";
	else if (!h.key)
		*out_why = "CERTCTL_BUS_KEY is no key file that only its owner "
			   "can read";
	else if (!is_pair(&h))
		*out_why = "CERTCTL_BUS_KEY is not the key of CERTCTL_BUS_CERT";
	else
		path = verify(&h, out_why);
	held_fini(&h);
	if (!path)
		return RC_INVALID;
	sk_X509_pop_free(path, X509_free);
	return RC_OK;
}
