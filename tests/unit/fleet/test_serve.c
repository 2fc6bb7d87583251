#include "deploy/test/loadtest/fleet/serve.h"

#include <arpa/inet.h>
#include <err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "common/base/enc.h"
#include "common/pki/key/key.h"
#include "common/tls/tls_probe.h"
#include "tests/unit/check.h"

#define LIMIT_MS 20000

static char dir[] = "/tmp/test_serve.XXXXXX";
static struct loop *loop;
static struct tls_prober *prober;
static struct serve *serve;
static int port;

/* What a pair's certificate is known by, 64 digits. */
static char prints[3][65];

static const char *
path(const char *name, int i)
{
	static char paths[4][128];
	static unsigned at;
	char *p = paths[at++ % 4];

	(void)snprintf(p, sizeof(paths[0]), "%s/%s%d.pem", dir, name, i);
	return p;
}

static void
add_names(X509 *x, const char *names)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, names);
	if (!e || X509_add_ext(x, e, -1) != 1)
		errx(1, "names");
	X509_EXTENSION_free(e);
}

/* Its files are cert<i>.pem and key<i>.pem. */
static void
make_pair(int i, const char *names)
{
	X509 *x = X509_new();
	FILE *cert = fopen(path("cert", i), "w");
	FILE *key_file = fopen(path("key", i), "w");
	unsigned char *der = NULL;
	EVP_PKEY *key;
	int len;

	if (!x || !cert || !key_file || key_new_p256(&key) != RC_OK)
		errx(1, "pair");
	ASN1_INTEGER_set(X509_get_serialNumber(x), i + 1);
	X509_set_version(x, X509_VERSION_3);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	if (names)
		add_names(x, names);
	if (X509_sign(x, key, EVP_sha256()) == 0 ||
	    PEM_write_X509(cert, x) != 1 ||
	    PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL) != 1)
		errx(1, "pair's files");
	len = i2d_X509(x, &der);
	enc_sha256_hex(der, (size_t)len, prints[i]);
	OPENSSL_free(der);
	EVP_PKEY_free(key);
	X509_free(x);
	fclose(cert);
	fclose(key_file);
}

static char seen[65];

static void
on_probed(void *arg, const struct tls_probe_result *r)
{
	seen[0] = '\0';
	if (r->fault == TLS_PROBE_OK)
		enc_sha256_hex(r->chain[0].der, r->chain[0].len, seen);
	loop_stop(loop);
}

/* The fingerprint of what is shown for that name, "" when no handshake came
 * about. */
static const char *
ask(const char *name)
{
	const struct tls_probe_target t = {.host = "127.0.0.1",
	    .port = port,
	    .server_name = name,
	    .timeout_ms = LIMIT_MS};
	struct tls_probe *p;

	CHECK_INT(tls_probe_start(prober, &t, on_probed, NULL, &p), RC_OK);
	CHECK_INT(loop_run(loop), RC_OK);
	return seen;
}

static int
any_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) != 0)
		err(1, "port");
	close(fd);
	return ntohs(at.sin_port);
}

static void
begin(void)
{
	const struct tls_prober_opts opts = {.parallel = 4};

	port = any_port();
	CHECK_INT(loop_new(&loop), RC_OK);
	CHECK_INT(tls_prober_new(loop, &opts, &prober), RC_OK);
	CHECK_INT(serve_new(loop, port, &serve), RC_OK);
}

static void
end(void)
{
	tls_prober_free(prober);
	serve_free(serve);
	loop_free(loop);
}

static void
test_names_get_their_pair(void)
{
	begin();
	CHECK_STR(ask("a.example.test"), "");
	CHECK_INT(serve_failures(serve), 1);
	CHECK_INT(serve_load(serve, path("cert", 0), path("key", 0)), RC_OK);
	CHECK_INT(serve_load(serve, path("cert", 1), path("key", 1)), RC_OK);
	CHECK_INT(serve_names(serve), 3);
	CHECK_STR(ask("a.example.test"), prints[0]);
	CHECK_STR(ask("A.Example.TEST"), prints[0]);
	CHECK_STR(ask("aa.example.test"), prints[0]);
	CHECK_STR(ask("b.example.test"), prints[1]);
	CHECK_STR(ask("c.example.test"), "");
	CHECK_STR(ask(NULL), ""); /* nobody is asked for */
	CHECK_INT(serve_handshakes(serve), 4);
	CHECK_INT(serve_failures(serve), 3);
	end();
}

/* Files that change are shown when they are loaded, and not before; what can't
 * be loaded changes nothing. */
static void
test_a_pair_is_read_when_it_is_loaded(void)
{
	char before[65];

	begin();
	CHECK_INT(serve_load(serve, path("cert", 0), path("key", 0)), RC_OK);
	memcpy(before, prints[0], sizeof(before));
	make_pair(0, "DNS:a.example.test,DNS:aa.example.test");
	CHECK(strcmp(before, prints[0]) != 0);
	CHECK_STR(ask("a.example.test"), before);
	CHECK_INT(serve_load(serve, path("cert", 0), path("key", 1)),
	    RC_INVALID);
	CHECK_STR(ask("a.example.test"), before);
	CHECK_INT(serve_load(serve, path("cert", 0), path("key", 0)), RC_OK);
	CHECK_STR(ask("a.example.test"), prints[0]);
	end();
}

static void
test_what_is_no_pair(void)
{
	begin();
	CHECK_INT(serve_check(path("cert", 0), path("key", 0)), RC_OK);
	CHECK_INT(serve_check(path("cert", 0), path("key", 1)), RC_INVALID);
	CHECK_INT(serve_check(path("key", 0), path("key", 0)), RC_INVALID);
	CHECK_INT(serve_check(path("none", 0), path("key", 0)), RC_INVALID);
	/* Without a name nobody could ask for it. */
	CHECK_INT(serve_load(serve, path("cert", 2), path("key", 2)),
	    RC_INVALID);
	CHECK_INT(serve_names(serve), 0);
	end();
}

static void
test_a_port_that_is_taken(void)
{
	struct serve *other;

	begin();
	CHECK_INT(serve_new(loop, port, &other), RC_BUSY);
	serve_free(NULL);
	end();
}

static void
remove_files(void)
{
	for (int i = 0; i < 3; i++) {
		(void)unlink(path("cert", i));
		(void)unlink(path("key", i));
	}
	(void)rmdir(dir);
}

int
main(void)
{
	const struct check_test tests[] = {CHECK_ROW(test_names_get_their_pair),
	    CHECK_ROW(test_a_pair_is_read_when_it_is_loaded),
	    CHECK_ROW(test_what_is_no_pair),
	    CHECK_ROW(test_a_port_that_is_taken)};

	if (!mkdtemp(dir) || atexit(remove_files) != 0)
		err(1, "directory");
	make_pair(0, "DNS:a.example.test,DNS:aa.example.test");
	make_pair(1, "DNS:b.example.test");
	make_pair(2, NULL);
	return check_run(tests, sizeof(tests) / sizeof(tests[0]));
}
