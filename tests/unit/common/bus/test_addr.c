#include "common/bus/addr.h"

#include "tests/unit/check.h"

static void
test_ipc(void)
{
	struct bus_addr a;
	const char *why;

	CHECK_INT(bus_addr_parse("ipc:///run/x/sched-1", &a, &why), RC_OK);
	CHECK(a.is_ipc);
	CHECK(!a.is_tls);
	CHECK_STR(a.url[BUS_HINT], "ipc:///run/x/sched-1.hint");
	CHECK_STR(a.url[BUS_WORK], "ipc:///run/x/sched-1.work");
	CHECK_STR(a.url[BUS_EVENTS], "ipc:///run/x/sched-1.events");
	CHECK_INT(bus_addr_parse("ipc://run/x", &a, &why), RC_INVALID);
	CHECK_INT(bus_addr_parse("ipc:///", &a, &why), RC_INVALID);
	CHECK_INT(bus_addr_parse("ipc:///run/", &a, &why), RC_INVALID);
}

static void
test_ipc_length(void)
{
	char url[256] = "ipc:///";
	struct bus_addr a;
	const char *why;

	/* "/" and 91 characters and ".events" are 99. */
	memset(url + 7, 'x', 91);
	CHECK_INT(bus_addr_parse(url, &a, &why), RC_OK);
	CHECK_INT(strlen(a.url[BUS_EVENTS]), 6 + 99);
	memset(url + 7, 'x', 92);
	CHECK_INT(bus_addr_parse(url, &a, &why), RC_INVALID);
	CHECK(strstr(why, "too long") != NULL);
}

static void
test_tls(void)
{
	struct bus_addr a;
	const char *why;

	CHECK_INT(bus_addr_parse("tls+tcp://s1.example:7400", &a, &why), RC_OK);
	CHECK(a.is_tls);
	CHECK_STR(a.host, "s1.example");
	CHECK_STR(a.url[BUS_HINT], "tls+tcp://s1.example:7400");
	CHECK_STR(a.url[BUS_WORK], "tls+tcp://s1.example:7401");
	CHECK_STR(a.url[BUS_EVENTS], "tls+tcp://s1.example:7402");
	CHECK_INT(bus_addr_parse("tls+tcp://[2001:db8::1]:7400", &a, &why),
	    RC_OK);
	CHECK_STR(a.host, "2001:db8::1");
	CHECK_STR(a.url[BUS_WORK], "tls+tcp://[2001:db8::1]:7401");
}

static void
test_tcp_loopback_only(void)
{
	static const char *const good[] = {"tcp://127.0.0.1:7400",
	    "tcp://127.9.9.9:1", "tcp://localhost:65533", "tcp://[::1]:7400"};
	static const char *const bad[] = {"tcp://10.0.0.1:7400",
	    "tcp://0.0.0.0:7400", "tcp://*:7400", "tcp://[::]:7400",
	    "tcp://localhost.example:7400", "tcp://127.0.0.1.example:1",
	    "tcp://s1:7400"};
	struct bus_addr a;
	const char *why;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK_INT(bus_addr_parse(good[i], &a, &why), RC_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_INT(bus_addr_parse(bad[i], &a, &why), RC_INVALID);
		CHECK(strstr(why, "loopback") != NULL);
	}
}

static void
test_refuses(void)
{
	static const char *const bad[] = {"", "7400", "http://x:1",
	    "tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://127.0.0.1:0",
	    "tcp://127.0.0.1:65534", "tcp://127.0.0.1:70000",
	    "tcp://127.0.0.1:74x", "tcp://:7400", "tls+tcp://a b:7400",
	    "tls+tcp://a/b:7400", "tls+tcp://[::1:7400", "tls+tcp://[::1]7400",
	    "ws://localhost:1", "tls+tcp://host:7400/path"};
	char url[256] = "tls+tcp://";
	struct bus_addr a = {.host = "kept"};
	const char *why;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why = NULL;
		CHECK_INT(bus_addr_parse(bad[i], &a, &why), RC_INVALID);
		CHECK(why && why[0]);
	}
	memset(url + 10, 'h', 101);
	memcpy(url + 111, ":7400", 6);
	CHECK_INT(bus_addr_parse(url, &a, &why), RC_INVALID);
	CHECK_STR(a.host, "kept"); /* outputs only on success */
}

CHECK_MAIN(CHECK_ROW(test_ipc), CHECK_ROW(test_ipc_length), CHECK_ROW(test_tls),
    CHECK_ROW(test_tcp_loopback_only), CHECK_ROW(test_refuses))
