/*
 * Probes of what is no TLS server, and probes that are refused, cancelled,
 * held back or outlived.
 */
#include <stdlib.h>
#include <sys/resource.h>

#include "tests/unit/check.h"
#include "tests/unit/common/tls/tls_rig.h"

#define SHORT_MS 100

static void
test_odd_servers(void)
{
	static const struct {
		enum odd how;
		enum tls_probe_fault fault;
		const char *error;
	} rows[] = {
	    {ODD_MUTE, TLS_PROBE_TIMEOUT, "no handshake within the time limit"},
	    {ODD_DRIP, TLS_PROBE_TIMEOUT, "no handshake within the time limit"},
	    {ODD_CLOSE, TLS_PROBE_NO_HANDSHAKE, NULL}, /* an end, or a reset */
	    {ODD_HTTP, TLS_PROBE_NO_HANDSHAKE,
		"the TLS handshake failed: wrong version number"},
	    {ODD_RUBBISH, TLS_PROBE_NO_HANDSHAKE,
		"the TLS handshake failed: packet length too long"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct seen s = {0};

		start_plain();
		probe("127.0.0.1", odd_start(rows[i].how), "tls.example",
		    rows[i].fault == TLS_PROBE_TIMEOUT ? SHORT_MS : LONG_MS,
		    &s);
		await(1);
		CHECK_INT(s.fault, rows[i].fault);
		if (rows[i].error)
			CHECK_STR(s.error, rows[i].error);
		CHECK(s.error[0] != '\0');
		CHECK_STR(s.version, "");
		CHECK_INT(s.nchain, 0);
		CHECK_STR(s.address, "127.0.0.1");
		stop();
	}
}

static void
test_nobody_listens(void)
{
	struct seen s = {0};

	start_plain();
	probe("127.0.0.1", 1, NULL, LONG_MS, &s);
	await(1);
	CHECK_INT(s.fault, TLS_PROBE_NO_CONNECTION);
	CHECK_STR(s.error, "no connection to 127.0.0.1: Connection refused");
	probe("::1", 1, NULL, LONG_MS, &s);
	await(2);
	CHECK_INT(s.fault, TLS_PROBE_NO_CONNECTION);
	CHECK_STR(s.address, "::1");
	stop();
}

static void
test_bad_arguments(void)
{
	static const struct tls_probe_target targets[] = {
	    {.host = "", .port = 443, .timeout_ms = 1},
	    {.host = "h", .port = 0, .timeout_ms = 1},
	    {.host = "h", .port = 65536, .timeout_ms = 1},
	    {.host = "h", .port = 443, .timeout_ms = 0},
	};
	static const struct tls_prober_opts opts[] = {{.parallel = 0},
	    {.parallel = TLS_PROBE_PARALLEL_MAX + 1},
	    {.parallel = 1, .per_second = -1}};
	struct tls_prober *none;
	struct tls_probe *t;
	struct seen s = {0};

	start_plain();
	for (size_t i = 0; i < ARRAY_LEN(targets); i++)
		CHECK_INT(tls_probe_start(prober, &targets[i], NULL, NULL, &t),
		    RC_INVALID);
	for (size_t i = 0; i < ARRAY_LEN(opts); i++)
		CHECK_INT(tls_prober_new(loop, &opts[i], &none), RC_INVALID);
	/* Neither a name nor an address. */
	probe("1.2.3.4:", 443, NULL, LONG_MS, &s);
	await(1);
	CHECK_INT(s.fault, TLS_PROBE_NO_CONNECTION);
	stop();
}

/* The rule is asked about each address, also those of names. */
static void
test_refused_addresses(void)
{
	const struct outbound no_loopback = {.refuses_private = true};
	const struct tls_prober_opts opts = {.outbound = &no_loopback,
	    .parallel = 4};
	struct seen s[3] = {{0}, {0}, {0}};

	start(&opts);
	probe("127.0.0.1", 443, NULL, LONG_MS, &s[0]);
	probe("localhost", 443, NULL, LONG_MS, &s[1]);
	probe("10.1.2.3", 443, NULL, LONG_MS, &s[2]);
	await(3);
	for (size_t i = 0; i < 3; i++)
		CHECK_INT(s[i].fault, TLS_PROBE_REFUSED);
	CHECK_STR(s[0].error,
	    "127.0.0.1 is a loopback address, which may not be asked");
	CHECK_STR(s[2].error,
	    "10.1.2.3 is a private address, which may not be asked");
	stop();
}

static void
test_parallel_limit(void)
{
	const struct tls_prober_opts opts = {.parallel = 3};
	struct seen s[12];
	int port;

	memset(s, 0, sizeof(s));
	start(&opts);
	port = odd_start(ODD_MUTE);
	for (size_t i = 0; i < ARRAY_LEN(s); i++)
		probe("127.0.0.1", port, NULL, SHORT_MS, &s[i]);
	await(ARRAY_LEN(s));
	CHECK(odd_most > 0 && odd_most <= 3);
	for (size_t i = 0; i < ARRAY_LEN(s); i++)
		CHECK_INT(s[i].fault, TLS_PROBE_TIMEOUT);
	stop();
}

/* By the clock of the loop: at least as long as the rate says. */
static void
test_rate(void)
{
	const struct tls_prober_opts opts = {.parallel = 64, .per_second = 100};
	struct seen s[21];
	int64_t began;

	memset(s, 0, sizeof(s));
	start(&opts);
	began = loop_now_ms(loop);
	for (size_t i = 0; i < ARRAY_LEN(s); i++)
		probe("127.0.0.1", 1, NULL, LONG_MS, &s[i]);
	await(ARRAY_LEN(s));
	/* 21, of which the first two may come at once. */
	CHECK(loop_now_ms(loop) - began >= 185);
	stop();
}

static struct seen *pair;

static void
cancel_the_other(struct seen *s)
{
	if (pair)
		tls_probe_cancel(s == &pair[0] ? pair[1].probe : pair[0].probe);
	pair = NULL;
}

static void
test_cancel(void)
{
	const struct tls_prober_opts opts = {.parallel = 2};
	struct seen s[4];
	int port;

	memset(s, 0, sizeof(s));
	start(&opts);
	port = odd_start(ODD_MUTE);
	/* One that waits, and one under way from the other's callback. */
	for (size_t i = 0; i < ARRAY_LEN(s); i++)
		probe("127.0.0.1", port, NULL, SHORT_MS, &s[i]);
	tls_probe_cancel(s[3].probe);
	pair = s;
	on_end = cancel_the_other;
	await(2);
	CHECK_INT(s[0].calls + s[1].calls, 1);
	CHECK_INT(s[2].calls, 1);
	CHECK_INT(s[3].calls, 0);
	CHECK_INT(tls_prober_running(prober), 0);
	stop();
}

static void
test_freed_under_way(void)
{
	const struct tls_prober_opts opts = {.parallel = 2};
	struct seen s[4];
	int port;

	memset(s, 0, sizeof(s));
	start(&opts);
	port = odd_start(ODD_MUTE);
	for (size_t i = 0; i < ARRAY_LEN(s); i++)
		probe("127.0.0.1", i == 1 ? 1 : port, NULL, LONG_MS, &s[i]);
	await(1);
	CHECK_INT(tls_prober_running(prober) + tls_prober_waiting(prober), 3);
	stop();
	CHECK_INT(s[0].calls + s[2].calls + s[3].calls, 0);
}

static void
start_another(struct seen *s)
{
	if (s->calls < 5)
		probe("127.0.0.1", 1, NULL, LONG_MS, s);
}

static void
test_started_from_callback(void)
{
	struct seen s = {0};

	start_plain();
	on_end = start_another;
	probe("127.0.0.1", 1, NULL, LONG_MS, &s);
	await(5);
	CHECK_INT(s.calls, 5);
	stop();
}

/* That this host has no more files says nothing about the server. */
static void
test_no_files(void)
{
	struct rlimit before, none;
	struct seen s = {0};
	int port;

	start_plain();
	port = odd_start(ODD_MUTE);
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
	probe("127.0.0.1", port, NULL, SHORT_MS, &s);
	await(1);
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
	CHECK_INT(s.fault, TLS_PROBE_NO_ROOM);
	CHECK_STR(s.error, "no connection to 127.0.0.1: Too many open files");
	stop();
}

static void
test_names(void)
{
	CHECK_STR(tls_probe_fault_name(TLS_PROBE_OK), "ok");
	CHECK_STR(tls_probe_fault_name(TLS_PROBE_NO_ROOM), "no-room");
	for (int i = 0; i < TLS_PROBE_FAULT_COUNT; i++)
		CHECK(tls_probe_fault_name((enum tls_probe_fault)i) != NULL);
}

CHECK_MAIN(CHECK_ROW(test_odd_servers), CHECK_ROW(test_nobody_listens),
    CHECK_ROW(test_bad_arguments), CHECK_ROW(test_refused_addresses),
    CHECK_ROW(test_parallel_limit), CHECK_ROW(test_rate),
    CHECK_ROW(test_cancel), CHECK_ROW(test_freed_under_way),
    CHECK_ROW(test_started_from_callback), CHECK_ROW(test_no_files),
    CHECK_ROW(test_names))
