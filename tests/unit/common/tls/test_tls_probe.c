/*
 * Probes of real TLS servers: openssl's s_server.
 */
#include "tests/unit/check.h"
#include "tests/unit/common/tls/tls_rig.h"

#define SERVER(...) server_start((const char *const[]){__VA_ARGS__, NULL})

static void
test_versions_and_ciphers(void)
{
	static const struct {
		const char *version, *cipher, *want_version, *want_cipher;
	} rows[] = {
	    {"-tls1_3", "DEFAULT", "TLS 1.3", "TLS_AES_256_GCM_SHA384"},
	    {"-tls1_2", "ECDHE-ECDSA-AES128-GCM-SHA256", "TLS 1.2",
		"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
	    /* What no client should speak is seen all the same. */
	    {"-tls1", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", "TLS 1.0",
		"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct seen s = {0};
		int port;

		start_plain();
		port = SERVER(rows[i].version, "-cipher", rows[i].cipher);
		probe("127.0.0.1", port, NULL, LONG_MS, &s);
		await(1);
		CHECK_STR(s.error, "");
		CHECK_INT(s.fault, TLS_PROBE_OK);
		CHECK_STR(s.version, rows[i].want_version);
		CHECK_STR(s.cipher, rows[i].want_cipher);
		CHECK_STR(s.address, "127.0.0.1");
		CHECK_STR(s.leaf, server_leaf());
		CHECK_INT(s.nchain, 1);
		CHECK(!s.asks_certificate);
		CHECK(s.response_ms >= 0 && s.response_ms <= LONG_MS);
		CHECK_INT(s.calls, 1);
		stop();
	}
}

static void
test_chain_in_order(void)
{
	struct seen s = {0};

	start_plain();
	probe("127.0.0.1", SERVER("-cert_chain", "CA"), NULL, LONG_MS, &s);
	await(1);
	CHECK_INT(s.fault, TLS_PROBE_OK);
	CHECK_INT(s.nchain, 2);
	CHECK_STR(s.leaf, server_leaf());
	stop();
}

/* It is healthy, and turns us away for we are nobody. */
static void
test_certificate_wanted(void)
{
	static const char *const versions[] = {"-tls1_2", "-tls1_3"};

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct seen s = {0};

		start_plain();
		probe("127.0.0.1",
		    SERVER("-Verify", "1", "-verify_return_error", versions[i]),
		    NULL, LONG_MS, &s);
		await(1);
		CHECK_STR(s.error, "");
		CHECK_INT(s.fault, TLS_PROBE_OK);
		CHECK(s.asks_certificate);
		CHECK_STR(s.leaf, server_leaf());
		stop();
	}
}

/* It turns away who asks for another name than its own. */
static void
test_server_name(void)
{
	struct seen own = {0}, other = {0};
	int port;

	start_plain();
	port = SERVER("-servername", "tls.example", "-servername_fatal",
	    "-cert2", "CERT", "-key2", "KEY");
	probe("127.0.0.1", port, "tls.example", LONG_MS, &own);
	probe("127.0.0.1", port, "other.example", LONG_MS, &other);
	await(2);
	CHECK_INT(own.fault, TLS_PROBE_OK);
	CHECK_INT(other.fault, TLS_PROBE_NO_HANDSHAKE);
	CHECK(strstr(other.error, "unrecognized name"));
	stop();
}

static void
test_host_names(void)
{
	/* A label is of 63 octets at most (RFC 1035): nobody is asked. */
	static const char never[] =
	    "a2345678901234567890123456789012345678901234567890123456789012345"
	    ".invalid";
	struct seen known = {0}, unknown = {0};
	int port;

	start_plain();
	port = SERVER("-tls1_3");
	/* Of its addresses one answers, and ::1 may be the first. */
	probe("localhost", port, NULL, LONG_MS, &known);
	probe(never, port, NULL, LONG_MS, &unknown);
	await(2);
	CHECK_STR(known.error, "");
	CHECK_INT(known.fault, TLS_PROBE_OK);
	CHECK_STR(known.address, "127.0.0.1");
	CHECK_INT(unknown.fault, TLS_PROBE_NO_NAME);
	CHECK(strstr(unknown.error, "no address is known of a234"));
	CHECK_STR(unknown.address, "");
	stop();
}

static void
test_many(void)
{
	enum { N = 100 };
	static struct seen s[N];
	const struct tls_prober_opts opts = {.parallel = 16};
	int port;

	memset(s, 0, sizeof(s));
	start(&opts);
	port = SERVER("-tls1_3");
	for (size_t i = 0; i < N; i++)
		probe("127.0.0.1", port, NULL, LONG_MS, &s[i]);
	CHECK_INT(tls_prober_waiting(prober), N);
	await(N);
	for (size_t i = 0; i < N; i++) {
		CHECK_INT(s[i].fault, TLS_PROBE_OK);
		CHECK_STR(s[i].leaf, server_leaf());
		CHECK_INT(s[i].calls, 1);
	}
	CHECK_INT(tls_prober_running(prober), 0);
	CHECK_INT(tls_prober_waiting(prober), 0);
	stop();
}

/* Only the one that is offered is taken, and only where it was. */
static void
test_protocol(void)
{
	static const struct {
		const char *served, *offered;
		bool is_taken;
	} rows[] = {
	    {"acme-tls/1", "acme-tls/1", true},
	    {"h2,acme-tls/1", "acme-tls/1", true},
	    {"acme-tls/1", NULL, false},
	};
	struct tls_probe_target bad = {.host = "h",
	    .port = 1,
	    .alpn = "",
	    .timeout_ms = LONG_MS};
	struct tls_probe *none;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct seen s = {0};
		struct tls_probe_target target = {.host = "127.0.0.1",
		    .alpn = rows[i].offered,
		    .timeout_ms = LONG_MS};

		start_plain();
		target.port = SERVER("-alpn", rows[i].served);
		probe_target(&target, &s);
		await(1);
		CHECK_INT(s.fault, TLS_PROBE_OK);
		CHECK_INT(s.takes_alpn, rows[i].is_taken);
		CHECK_INT(tls_probe_start(prober, &bad, NULL, NULL, &none),
		    RC_INVALID);
		stop();
	}
}

CHECK_MAIN(CHECK_ROW(test_versions_and_ciphers), CHECK_ROW(test_chain_in_order),
    CHECK_ROW(test_certificate_wanted), CHECK_ROW(test_server_name),
    CHECK_ROW(test_host_names), CHECK_ROW(test_protocol), CHECK_ROW(test_many))
