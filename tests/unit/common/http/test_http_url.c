#include "common/http/http_url.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/attr.h"
#include "tests/unit/check.h"

static void
test_which_may_be_asked(void)
{
	static const char *const good[] = {"http://ca.example.test/scep",
	    "HTTPS://ca.example.test:8443/certsrv/mscep/mscep.dll?x=1",
	    "http://192.0.2.1", "http://[2001:db8::1]:80/scep"};
	static const char *const bad[] = {"http:/h.test/scep",
	    "http:///h.test/", "http://h%BB.test/", "http://h%2etest:x/",
	    "http://[fe80::1%25lo]/", "http://*.test/", "http://-h.test/", "",
	    "ca.example.test/scep", "ftp://ca.example.test/",
	    "file:///etc/passwd", "gopher://x/1", "http://",
	    "http://user@ca.example.test/",
	    "http://user:password@ca.example.test/",
	    "http://:password@ca.example.test/", "http://ca.example.test/#part",
	    "http://ca.example.test/a b", "http://ca.example.test:99999/",
	    "http://ca.example.test/\n", "http://[2001:db8::1",
	    "javascript:alert(1)"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		CHECK(http_url_refuses(good[i]) == NULL);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK(http_url_refuses(bad[i]) != NULL);
}

/* In any of the forms that a resolver would take for one. */
static void
test_addresses(void)
{
	static const char *const v4[] = {"http://127.0.0.1/",
	    "http://127.1:80/", "http://2130706433/", "http://0x7f000001/",
	    "http://017700000001/"};
	struct sockaddr_storage at;
	struct sockaddr_in in;

	for (size_t i = 0; i < ARRAY_LEN(v4); i++) {
		CHECK(http_url_address(v4[i], &at));
		CHECK_INT(at.ss_family, AF_INET);
		memcpy(&in, &at, sizeof(in));
		CHECK_INT(ntohl(in.sin_addr.s_addr), INADDR_LOOPBACK);
	}
	CHECK(http_url_address("https://[::1]:8443/scep", &at));
	CHECK_INT(at.ss_family, AF_INET6);
	CHECK(!http_url_address("http://localhost/", &at));
	CHECK(!http_url_address("http://127.0.0.1.example.test/", &at));
}

static void
test_arguments(void)
{
	struct arena *a = arena_new();

	CHECK_STR(http_url_with(a, "http://h.test/scep", "operation=GetCACaps"),
	    "http://h.test/scep?operation=GetCACaps");
	CHECK_STR(http_url_with(a, "http://h.test/scep?a=b", "operation=x"),
	    "http://h.test/scep?a=b&operation=x");
	CHECK_STR(http_url_with(a, "http://h.test", "operation=x"),
	    "http://h.test/?operation=x");
	arena_free(a);
}

static void
test_joining(void)
{
	static const struct {
		const char *reference, *url, *host;
		int port; /* 0: it can't be read */
	} rows[] = {
	    {"/x?y=1#z", "https://h.test:8443/x?y=1", "h.test", 8443},
	    {"x", "https://h.test:8443/a/x", "h.test", 8443},
	    {"../x", "https://h.test:8443/x", "h.test", 8443},
	    {"//g.test/x", "https://g.test/x", "g.test", 443},
	    {"http://g.test", "http://g.test/", "g.test", 80},
	    {"http://[2001:db8::1]:81/", "http://[2001:db8::1]:81/",
		"2001:db8::1", 81},
	    {"http://g.test:99999/", NULL, NULL, 0},
	    {"http://g.test:0/", NULL, NULL, 0},
	    {"mailto:a@b.test", NULL, NULL, 0},
	};
	struct arena *a = arena_new();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_url_parts p = {0};
		bool is_read = http_url_join(a, "https://h.test:8443/a/b",
		    rows[i].reference, &p);

		if (!is_read) {
			CHECK_INT(rows[i].port, 0);
			continue;
		}
		if (rows[i].port == 0) { /* then it is judged, and refused */
			CHECK(http_url_refuses(p.url) != NULL || p.port != 443);
			continue;
		}
		CHECK_STR(p.url, rows[i].url);
		CHECK_STR(p.host, rows[i].host);
		CHECK_INT(p.port, rows[i].port);
	}
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(test_which_may_be_asked), CHECK_ROW(test_addresses),
    CHECK_ROW(test_arguments), CHECK_ROW(test_joining))
