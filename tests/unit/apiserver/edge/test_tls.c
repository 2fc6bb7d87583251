/*
 * The server's side of TLS: what is agreed on, and how pairs are exchanged
 * while connections go on.
 */
#include "apiserver/edge/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tests/unit/check.h"
#include "tests/unit/common/bus/testcert.h"

enum { WATCH_MS = 1000, TURNS = 10 };

static char dir[64];
static char cert[96], key[96], spare_cert[96], spare_key[96];
static struct testca *ca;
static SSL_CTX *client_ctx;
static struct tls *tls;

static void
clean(void)
{
	const char *all[] = {cert, key, spare_cert, spare_key};

	tls_free(tls);
	tls = NULL;
	SSL_CTX_free(client_ctx);
	client_ctx = NULL;
	testca_free(ca);
	ca = NULL;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		(void)unlink(all[i]);
	if (dir[0])
		(void)rmdir(dir);
	dir[0] = '\0';
}

/* A certificate for the name and its key, where the server doesn't look. */
static void
make_spare(const char *name)
{
	CHECK(testca_issue(ca, name, spare_cert, spare_key));
}

static void
begin(const char *name)
{
	clean();
	(void)snprintf(dir, sizeof(dir), "/tmp/cc-unit-XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	(void)snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
	(void)snprintf(key, sizeof(key), "%s/key.pem", dir);
	(void)snprintf(spare_cert, sizeof(spare_cert), "%s/cert.new", dir);
	(void)snprintf(spare_key, sizeof(spare_key), "%s/key.new", dir);
	ca = testca_new("Test CA", spare_cert);
	client_ctx = SSL_CTX_new(TLS_client_method());
	CHECK(ca && client_ctx);
	make_spare(name);
	CHECK_INT(rename(spare_cert, cert), 0);
	CHECK_INT(rename(spare_key, key), 0);
}

/* The server, with the pair for a.test. */
static void
begin_server(void)
{
	begin("a.test");
	CHECK_INT(tls_new(cert, key, &tls), RC_OK);
}

static void
put_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	CHECK(f != NULL);
	CHECK(fputs(text, f) >= 0);
	CHECK_INT(fclose(f), 0);
}

/* --- both ends of a connection, in memory --- */

static SSL *
client_new(void)
{
	SSL *c = SSL_new(client_ctx);

	CHECK(c != NULL);
	return c;
}

static bool
shake_hands(SSL *client, SSL *server)
{
	BIO *a, *b;

	CHECK_INT(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	SSL_set_bio(client, a, a);
	SSL_set_bio(server, b, b);
	SSL_set_connect_state(client);
	SSL_set_accept_state(server);
	for (int i = 0; i < TURNS; i++) {
		int done = SSL_do_handshake(client) == 1;

		if (SSL_do_handshake(server) == 1 && done)
			return true;
	}
	return false;
}

static bool
is_for(SSL *client, const char *name)
{
	X509 *x = SSL_get0_peer_certificate(client);

	return x && X509_check_host(x, name, 0, 0, NULL) == 1;
}

/* Whether a new connection is served the certificate for this name. */
static bool
serves(const char *name)
{
	SSL *client = client_new(), *server = tls_session(tls);
	bool is_it = shake_hands(client, server) && is_for(client, name);

	SSL_free(client);
	SSL_free(server);
	return is_it;
}

/* --- what is agreed on --- */

static void
only_tls_1_3_without_tickets(void)
{
	SSL *client, *server;

	begin_server();
	client = client_new();
	server = tls_session(tls);
	CHECK(shake_hands(client, server));
	CHECK_INT(SSL_version(client), TLS1_3_VERSION);
	CHECK(is_for(client, "a.test"));
	CHECK(!SSL_SESSION_is_resumable(SSL_get0_session(client)));
	SSL_free(client);
	SSL_free(server);
	SSL_CTX_set_max_proto_version(client_ctx, TLS1_2_VERSION);
	CHECK(!serves("a.test"));
}

static void
only_two_groups(void)
{
	begin_server();
	CHECK_INT(SSL_CTX_set1_groups_list(client_ctx, "P-256"), 1);
	CHECK(serves("a.test"));
	CHECK_INT(SSL_CTX_set1_groups_list(client_ctx, "P-384:P-521"), 1);
	CHECK(!serves("a.test"));
}

/* The protocol that ALPN agrees on when these are offered; "": none. */
static const char *
agreed(const char *offered)
{
	static char chosen[32];
	const unsigned char *name;
	unsigned int len;
	SSL *client = client_new(), *server = tls_session(tls);

	CHECK_INT(SSL_set_alpn_protos(client, (const unsigned char *)offered,
		      (unsigned int)strlen(offered)),
	    0);
	CHECK(shake_hands(client, server));
	SSL_get0_alpn_selected(client, &name, &len);
	(void)snprintf(chosen, sizeof(chosen), "%.*s", (int)len,
	    name ? (const char *)name : "");
	SSL_free(client);
	SSL_free(server);
	return chosen;
}

static void
http_1_1_is_spoken_whatever_is_offered(void)
{
	begin_server();
	CHECK_STR(agreed("\x02h2\x08http/1.1"), "http/1.1");
	CHECK_STR(agreed("\x02h2"), "");
}

/* --- pairs that cannot be used --- */

/* What is in the spare files as the server's pair. */
static rc
start_with_spare(void)
{
	struct tls *none = NULL;
	rc ret = tls_new(spare_cert, spare_key, &none);

	CHECK(none == NULL);
	return ret;
}

static void
a_pair_that_is_none_does_not_start(void)
{
	begin("a.test");
	make_spare("b.test");
	CHECK_INT(unlink(spare_key), 0);
	CHECK_INT(start_with_spare(), RC_INVALID);
	/* the other's key */
	CHECK_INT(link(key, spare_key), 0);
	CHECK_INT(start_with_spare(), RC_INVALID);
	make_spare("b.test");
	put_text(spare_cert, "");
	CHECK_INT(start_with_spare(), RC_INVALID);
	put_text(spare_cert, "-----BEGIN CERTIFICATE-----\nAAAA\n");
	CHECK_INT(start_with_spare(), RC_INVALID);
}

static void
nobody_is_asked_for_a_passphrase(void)
{
	char word[] = "word";
	EVP_PKEY *made = EVP_EC_gen("P-256");
	SSL *session;
	FILE *f;

	begin_server();
	make_spare("b.test");
	f = fopen(spare_key, "w");
	CHECK(made && f);
	CHECK_INT(PEM_write_PrivateKey(f, made, EVP_aes_128_cbc(), NULL, 0,
		      NULL, word),
	    1);
	CHECK_INT(fclose(f), 0);
	EVP_PKEY_free(made);
	CHECK_INT(start_with_spare(), RC_INVALID);
	/* OpenSSL's own way would be to ask the terminal, and wait. */
	session = tls_session(tls);
	CHECK(SSL_CTX_get_default_passwd_cb(SSL_get_SSL_CTX(session)) != NULL);
	SSL_free(session);
}

/* --- reload --- */

static void
put_in_place(const char *name)
{
	make_spare(name);
	CHECK_INT(rename(spare_cert, cert), 0);
	CHECK_INT(rename(spare_key, key), 0);
}

static void
a_connection_keeps_the_pair_it_began_with(void)
{
	SSL *client, *server;

	begin_server();
	client = client_new();
	server = tls_session(tls); /* begun, and nothing said yet */
	put_in_place("b.test");
	CHECK(serves("a.test"));
	tls_reload(tls);
	CHECK(serves("b.test"));
	CHECK(shake_hands(client, server));
	CHECK(is_for(client, "a.test"));
	SSL_free(client);
	SSL_free(server);
}

static void
a_bad_pair_leaves_the_old_one(void)
{
	begin_server();
	/* between two renames: the certificate is new, the key is not */
	make_spare("b.test");
	CHECK_INT(rename(spare_cert, cert), 0);
	tls_reload(tls);
	CHECK(serves("a.test"));
	CHECK_INT(rename(spare_key, key), 0);
	tls_reload(tls);
	CHECK(serves("b.test"));
	put_text(cert, "not a certificate\n");
	tls_reload(tls);
	CHECK(serves("b.test"));
	CHECK_INT(unlink(cert), 0);
	CHECK_INT(unlink(key), 0);
	tls_reload(tls);
	CHECK(serves("b.test"));
	put_in_place("c.test");
	tls_reload(tls);
	CHECK(serves("c.test"));
}

static void
files_are_watched(void)
{
	struct loop *loop;

	begin_server();
	loop = loop_new_sim(1000);
	tls_watch(tls, loop, WATCH_MS);
	put_in_place("b.test");
	loop_sim_advance(loop, WATCH_MS - 1);
	CHECK(serves("a.test"));
	loop_sim_advance(loop, 1);
	CHECK(serves("b.test"));
	/* the second of two files comes later than a look */
	make_spare("c.test");
	CHECK_INT(rename(spare_key, key), 0);
	loop_sim_advance(loop, WATCH_MS);
	CHECK(serves("b.test"));
	CHECK_INT(rename(spare_cert, cert), 0);
	loop_sim_advance(loop, WATCH_MS);
	CHECK(serves("c.test"));
	tls_free(tls);
	tls = NULL;
	loop_free(loop);
	clean();
}

CHECK_MAIN(CHECK_ROW(only_tls_1_3_without_tickets), CHECK_ROW(only_two_groups),
    CHECK_ROW(http_1_1_is_spoken_whatever_is_offered),
    CHECK_ROW(a_pair_that_is_none_does_not_start),
    CHECK_ROW(nobody_is_asked_for_a_passphrase),
    CHECK_ROW(a_connection_keeps_the_pair_it_began_with),
    CHECK_ROW(a_bad_pair_leaves_the_old_one), CHECK_ROW(files_are_watched))
