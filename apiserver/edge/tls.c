#include "apiserver/edge/tls.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/loop/filewatch.h"
#include "common/pki/key/key.h"

struct tls {
	char *cert_path;
	char *key_path;
	SSL_CTX *ctx;
	struct filewatch *files;
};

static const char *
ssl_reason(void)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return why ? why : "unreadable";
}

/* HTTP/1.1 is all we speak; a client that offers only other protocols is
 * served it all the same, as one that offers none. */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *in, unsigned int in_len, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *chosen;

	if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in,
		in_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static bool
ctx_settings(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
				     SSL_OP_IGNORE_UNEXPECTED_EOF |
				     SSL_OP_NO_TICKET);
	/* Half the memory of an idle connection. */
	SSL_CTX_set_mode(ctx,
	    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	SSL_CTX_set_default_passwd_cb(ctx, key_no_passphrase);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_num_tickets(ctx, 0) == 1 &&
	       SSL_CTX_set1_groups_list(ctx, "X25519:P-256") == 1;
}

/* NULL after a log line. */
static SSL_CTX *
ctx_load(const char *cert_path, const char *key_path)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	bool is_good = ctx && ctx_settings(ctx);

	if (!is_good) {
		log_error("TLS-SETUP", "no TLS context: %s", ssl_reason());
		SSL_CTX_free(ctx);
		return NULL;
	}
	if (SSL_CTX_use_certificate_chain_file(ctx, cert_path) != 1) {
		log_error("TLS-CERT", "certificate %s: %s", cert_path,
		    ssl_reason());
		is_good = false;
	}
	/* OpenSSL also compares it with the certificate here. */
	if (SSL_CTX_use_PrivateKey_file(ctx, key_path, SSL_FILETYPE_PEM) != 1) {
		log_error("TLS-KEY", "key %s: %s", key_path, ssl_reason());
		is_good = false;
	} else if (is_good && SSL_CTX_check_private_key(ctx) != 1) {
		log_error("TLS-PAIR", "key %s is not that of %s: %s", key_path,
		    cert_path, ssl_reason());
		is_good = false;
	}
	if (is_good)
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

rc
tls_new(const char *cert_path, const char *key_path, struct tls **out)
{
	const char *const paths[] = {cert_path, key_path};
	struct tls *t = mem_zalloc(sizeof(*t));

	t->cert_path = mem_strdup(cert_path);
	t->key_path = mem_strdup(key_path);
	t->files = filewatch_new(paths, ARRAY_LEN(paths));
	t->ctx = ctx_load(cert_path, key_path);
	if (!t->ctx) {
		tls_free(t);
		return RC_INVALID;
	}
	*out = t;
	return RC_OK;
}

void
tls_free(struct tls *t)
{
	if (!t)
		return;
	filewatch_free(t->files);
	SSL_CTX_free(t->ctx);
	free(t->cert_path);
	free(t->key_path);
	free(t);
}

SSL *
tls_session(struct tls *t)
{
	SSL *ssl = SSL_new(t->ctx);

	if (!ssl)
		log_fatal("TLS-SESSION", "out of memory for a session");
	return ssl;
}

void
tls_reload(struct tls *t)
{
	SSL_CTX *ctx;

	filewatch_note(t->files);
	ctx = ctx_load(t->cert_path, t->key_path);
	if (!ctx) {
		log_warn("TLS-RELOAD-FAILED",
		    "going on with the pair that was loaded before");
		return;
	}
	SSL_CTX_free(t->ctx); /* connections hold references of their own */
	t->ctx = ctx;
	log_info("TLS-RELOADED", "new connections are served with %s",
	    t->cert_path);
}

static void
on_change(void *arg)
{
	tls_reload(arg);
}

void
tls_watch(struct tls *t, struct loop *l, int64_t every_ms)
{
	filewatch_start(t->files, l, every_ms, on_change, t);
}
