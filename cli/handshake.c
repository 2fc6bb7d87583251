#include <stdio.h>
#include <string.h>

#include <openssl/ssl.h>

#include "cli/cli.h"
#include "common/pki/cert/cert.h"

/* Between two looks at a connection that is not there yet. */
#define NAP_MS 20

static bool
read_serial(SSL *ssl, char out[41])
{
	X509 *leaf = SSL_get1_peer_certificate(ssl);
	rc ret;

	if (!leaf)
		return false;
	ret = cert_serial_hex(X509_get0_serialNumber(leaf), out);
	X509_free(leaf);
	return ret == RC_OK;
}

bool
handshake_serial(const char *host, int port, const char *server_name,
    int seconds, char out[41])
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	bool ok = false;
	char at[300];
	SSL *ssl = NULL;
	BIO *bio;

	if (!ctx)
		return false;
	/* The question is which certificate is served, not whether to trust
	 * it. */
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	snprintf(at, sizeof(at), strchr(host, ':') ? "[%s]:%d" : "%s:%d", host,
	    port);
	bio = BIO_new_ssl_connect(ctx);
	if (bio) {
		BIO_get_ssl(bio, &ssl);
		BIO_set_conn_hostname(bio, at);
		if (ssl && server_name && server_name[0])
			(void)SSL_set_tlsext_host_name(ssl, server_name);
		/* Through the chain: connection and handshake. */
		ok = ssl && BIO_do_connect_retry(bio, seconds, NAP_MS) == 1 &&
		     read_serial(ssl, out);
		BIO_free_all(bio);
	}
	SSL_CTX_free(ctx);
	return ok;
}
