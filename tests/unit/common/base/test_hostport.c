/*
 * Endpoints as people write them.
 */
#include "common/base/hostport.h"
#include "tests/unit/check.h"

static void
test_good(void)
{
	static const struct {
		const char *text, *host;
		int port;
	} rows[] = {
	    {"www.example.com:443", "www.example.com", 443},
	    {"localhost:1", "localhost", 1},
	    {"192.0.2.7:65535", "192.0.2.7", 65535},
	    {"[2001:db8::1]:8443", "2001:db8::1", 8443},
	    {"[::1]:443", "::1", 443},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct hostport hp;

		CHECK_INT(hostport_parse(rows[i].text, &hp), RC_OK);
		CHECK_STR(hp.host, rows[i].host);
		CHECK_INT(hp.port, rows[i].port);
	}
}

static void
test_bad(void)
{
	static const char *const rows[] = {"", ":", ":443", "www.example.com",
	    "www.example.com:", "www.example.com:0", "www.example.com:65536",
	    "www.example.com:x", "www.example.com: 443",
	    "https://www.example.com:443", "www.example.com:443/path",
	    "2001:db8::1:443", "::1:443", "[www.example.com]:443",
	    "[192.0.2.7]:443", "[:443", "]:443", "[]:443", "[::1:443",
	    "::1]:443", "[[::1]]:443", "-a.example:443", "*.example.com:443",
	    "300.1.1.1:443", "a b:443"};
	struct hostport hp = {.host = "before", .port = 7};
	char text[400];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK_INT(hostport_parse(rows[i], &hp), RC_INVALID);
	memset(text, 'a', sizeof(text));
	(void)snprintf(text + 300, 10, ":443");
	CHECK_INT(hostport_parse(text, &hp), RC_INVALID);
	CHECK_STR(hp.host, "before");
	CHECK_INT(hp.port, 7);
}

CHECK_MAIN(CHECK_ROW(test_good), CHECK_ROW(test_bad))
