/*
 * What OpenSSL is asked for a probe, and what it knows after the handshake.
 */
#include <openssl/err.h>
#include <openssl/x509.h>

#include "common/tls/tls_probe_int.h"

/* The server asks for a certificate of ours; there is none. */
static int
on_asked(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
	struct tls_probe_result *r = SSL_get_app_data(ssl);

	r->asks_certificate = true;
	return 0;
}

SSL_CTX *
tls_probe_ctx_new(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx)
		return NULL;
	/* What is old or weak is there to be found.  Ciphers without a
	 * certificate would leave nothing to see. */
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_options(ctx,
	    SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_max_cert_list(ctx, TLS_PROBE_BYTES_MAX);
	SSL_CTX_set_client_cert_cb(ctx, on_asked);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION) == 1 &&
	    SSL_CTX_set_cipher_list(ctx, "ALL:!aNULL:!eNULL:!PSK:!SRP") == 1)
		return ctx;
	ERR_clear_error();
	SSL_CTX_free(ctx);
	return NULL;
}

static const char *
version_text(const SSL *ssl)
{
	switch (SSL_version(ssl)) {
	case TLS1_VERSION:
		return "TLS 1.0";
	case TLS1_1_VERSION:
		return "TLS 1.1";
	case TLS1_2_VERSION:
		return "TLS 1.2";
	default:
		return "TLS 1.3";
	}
}

static rc
add_cert(X509 *x, struct tls_probe_result *r)
{
	unsigned char *der = NULL;
	int len = i2d_X509(x, &der);

	if (len <= 0) {
		ERR_clear_error();
		return RC_INVALID;
	}
	r->chain[r->nchain].der = der;
	r->chain[r->nchain++].len = (size_t)len;
	return RC_OK;
}

rc
tls_chain_read(SSL *ssl, struct tls_probe_result *r)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
	const char *name = cipher ? SSL_CIPHER_standard_name(cipher) : NULL;

	for (int i = 0;
	     chain && i < sk_X509_num(chain) && r->nchain < TLS_PROBE_CHAIN_MAX;
	     i++) {
		rc ret = add_cert(sk_X509_value(chain, i), r);

		if (ret != RC_OK) {
			tls_chain_free(r);
			return ret;
		}
	}
	if (r->nchain == 0)
		return RC_INVALID;
	r->version = version_text(ssl);
	r->cipher = name ? name : "";
	return RC_OK;
}

void
tls_chain_free(struct tls_probe_result *r)
{
	for (size_t i = 0; i < r->nchain; i++)
		OPENSSL_free((void *)(uintptr_t)r->chain[i].der);
	r->nchain = 0;
}
