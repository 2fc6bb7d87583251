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

CHECK_MAIN(CHECK_ROW(test_which_may_be_asked), CHECK_ROW(test_addresses),
    CHECK_ROW(test_arguments))
