#include "deploy/test/loadtest/fleet/serve.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <uthash.h>
#include <utlist.h>

#include "common/base/hostname.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/pki/key/key.h"

#define BACKLOG 4096
#define CONN_SECONDS 30
#define READ_MAX 65536
/* Of a certificate and its chain. */
#define CHAIN_MAX 16

struct pair {
	X509 *leaf;
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
	size_t holders; /* names */
};

struct name {
	char text[HOSTNAME_MAX + 1];
	struct pair *pair;
	UT_hash_handle hh;
};

struct conn {
	struct serve *serve;
	struct bufferevent *bev;
	bool is_done; /* with its handshake */
	struct conn *prev, *next;
};

struct serve {
	struct loop *loop;
	SSL_CTX *ctx;
	struct evconnlistener *listener;
	struct name *names;
	struct conn *conns;
	size_t handshakes, failures;
};

/* --- pairs --- */

static void
pair_drop(struct pair *p)
{
	if (!p || --p->holders > 0)
		return;
	X509_free(p->leaf);
	sk_X509_pop_free(p->chain, X509_free);
	EVP_PKEY_free(p->key);
	free(p);
}

/* Certificates until the end of the file. */
static bool
read_chain(BIO *in, struct pair *p)
{
	X509 *x;

	p->leaf = PEM_read_bio_X509(in, NULL, key_no_passphrase, NULL);
	p->chain = sk_X509_new_null();
	if (!p->leaf || !p->chain)
		return false;
	while (sk_X509_num(p->chain) < CHAIN_MAX &&
	       (x = PEM_read_bio_X509(in, NULL, key_no_passphrase, NULL)) !=
		   NULL) {
		if (!sk_X509_push(p->chain, x)) {
			X509_free(x);
			return false;
		}
	}
	ERR_clear_error();
	return true;
}

/* One holder: the caller.  NULL: the files are no pair. */
static struct pair *
pair_read(const char *cert_path, const char *key_path)
{
	struct pair *p = mem_zalloc(sizeof(*p));
	BIO *cert = BIO_new_file(cert_path, "r");
	BIO *key = BIO_new_file(key_path, "r");
	bool is_pair = cert && key && read_chain(cert, p);

	p->holders = 1;
	if (is_pair)
		p->key =
		    PEM_read_bio_PrivateKey(key, NULL, key_no_passphrase, NULL);
	is_pair =
	    is_pair && p->key && X509_check_private_key(p->leaf, p->key) == 1;
	BIO_free(cert);
	BIO_free(key);
	ERR_clear_error();
	if (is_pair)
		return p;
	pair_drop(p);
	return NULL;
}

rc
serve_check(const char *cert_path, const char *key_path)
{
	struct pair *p = pair_read(cert_path, key_path);

	if (!p)
		return RC_INVALID;
	pair_drop(p);
	return RC_OK;
}

/* --- names --- */

/* RFC 6066, section 3: names are compared without regard to case. */
static bool
lower(const char *text, size_t len, char out[HOSTNAME_MAX + 1])
{
	if (len == 0 || len > HOSTNAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		out[i] = (char)tolower((unsigned char)text[i]);
	out[len] = '\0';
	return strlen(out) == len;
}

static void
show(struct serve *s, const char *text, struct pair *p)
{
	struct name *n;

	HASH_FIND_STR(s->names, text, n);
	if (!n) {
		n = mem_zalloc(sizeof(*n));
		memcpy(n->text, text, strlen(text));
		HASH_ADD_STR(s->names, text, n);
	}
	pair_drop(n->pair);
	n->pair = p;
	p->holders++;
}

rc
serve_load(struct serve *s, const char *cert_path, const char *key_path)
{
	struct pair *p = pair_read(cert_path, key_path);
	GENERAL_NAMES *sans;
	char text[HOSTNAME_MAX + 1];
	size_t shown = 0;

	if (!p)
		return RC_INVALID;
	sans = X509_get_ext_d2i(p->leaf, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; sans && i < sk_GENERAL_NAME_num(sans); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(sans, i);

		if (g->type != GEN_DNS ||
		    !lower((const char *)ASN1_STRING_get0_data(g->d.dNSName),
			(size_t)ASN1_STRING_length(g->d.dNSName), text))
			continue;
		show(s, text, p);
		shown++;
	}
	GENERAL_NAMES_free(sans);
	pair_drop(p);
	return shown > 0 ? RC_OK : RC_INVALID;
}

/* Called by OpenSSL when a certificate is to be chosen; 0 ends the handshake.
 */
static int
on_choose(SSL *ssl, void *arg)
{
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct serve *s = arg;
	char text[HOSTNAME_MAX + 1];
	struct name *n = NULL;

	if (asked && lower(asked, strlen(asked), text))
		HASH_FIND_STR(s->names, text, n);
	if (!n)
		return 0;
	return SSL_use_certificate(ssl, n->pair->leaf) == 1 &&
	       SSL_use_PrivateKey(ssl, n->pair->key) == 1 &&
	       SSL_set1_chain(ssl, n->pair->chain) == 1;
}

/* --- connections --- */

static void
conn_end(struct conn *c)
{
	DL_DELETE(c->serve->conns, c);
	bufferevent_free(c->bev);
	free(c);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);

	(void)evbuffer_drain(in, evbuffer_get_length(in));
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct conn *c = arg;

	if (what & BEV_EVENT_CONNECTED) {
		c->is_done = true;
		c->serve->handshakes++;
		return;
	}
	if (!c->is_done)
		c->serve->failures++;
	ERR_clear_error();
	conn_end(c);
}

static void
on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *from,
    int len, void *arg)
{
	const struct timeval limit = {.tv_sec = CONN_SECONDS};
	struct serve *s = arg;
	SSL *ssl = SSL_new(s->ctx);
	struct conn *c;

	if (!ssl)
		log_fatal("SERVE", "OpenSSL has no memory");
	c = mem_zalloc(sizeof(*c));
	c->serve = s;
	c->bev = bufferevent_openssl_socket_new(loop_base(s->loop), fd, ssl,
	    BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	if (!c->bev)
		log_fatal("SERVE", "libevent has no memory");
	/* Who looks at a certificate goes without a word. */
	bufferevent_openssl_set_allow_dirty_shutdown(c->bev, 1);
	DL_APPEND(s->conns, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, READ_MAX);
	bufferevent_setcb(c->bev, on_read, NULL, on_event, c);
	bufferevent_set_timeouts(c->bev, &limit, &limit);
	if (bufferevent_enable(c->bev, EV_READ | EV_WRITE) != 0)
		conn_end(c);
}

/* --- the whole --- */

static rc
make_ctx(struct serve *s)
{
	s->ctx = SSL_CTX_new(TLS_server_method());
	if (!s->ctx ||
	    SSL_CTX_set_min_proto_version(s->ctx, TLS1_2_VERSION) != 1)
		return RC_CRYPTO;
	(void)SSL_CTX_set_session_cache_mode(s->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_cert_cb(s->ctx, on_choose, s);
	return RC_OK;
}

rc
serve_new(struct loop *l, int port, struct serve **out)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct serve *s = mem_zalloc(sizeof(*s));
	rc ret;

	s->loop = l;
	ret = make_ctx(s);
	if (ret == RC_OK) {
		s->listener =
		    evconnlistener_new_bind(loop_base(l), on_accept, s,
			LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
			    LEV_OPT_REUSEABLE,
			BACKLOG, (struct sockaddr *)&at, sizeof(at));
		if (!s->listener)
			ret = RC_BUSY;
	}
	if (ret != RC_OK) {
		serve_free(s);
		return ret;
	}
	*out = s;
	return RC_OK;
}

void
serve_free(struct serve *s)
{
	struct name *n, *next;

	if (!s)
		return;
	if (s->listener)
		evconnlistener_free(s->listener);
	while (s->conns)
		conn_end(s->conns);
	HASH_ITER (hh, s->names, n, next) {
		HASH_DEL(s->names, n);
		pair_drop(n->pair);
		free(n);
	}
	SSL_CTX_free(s->ctx);
	free(s);
}

size_t
serve_names(const struct serve *s)
{
	return HASH_COUNT(s->names);
}

size_t
serve_handshakes(const struct serve *s)
{
	return s->handshakes;
}

size_t
serve_failures(const struct serve *s)
{
	return s->failures;
}
