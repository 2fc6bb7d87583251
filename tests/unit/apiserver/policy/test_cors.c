#include "apiserver/policy/cors.h"

#include <stddef.h>

#include "common/base/attr.h"
#include "tests/unit/check.h"

static rc
check_one(const char *origin)
{
	const char *const origins[] = {"https://first.example.com", origin,
	    NULL};

	return cors_check(origins);
}

static void
test_origins(void)
{
	static const char *const good[] = {"https://dash.example.com",
	    "https://dash.example.com:8443", "http://localhost:3000",
	    "http://127.0.0.1", "https://[2001:db8::1]:444"};
	static const char *const bad[] = {"", "*", "null", "dash.example.com",
	    "https://", "https://*.example.com", "https://dash.example.com/",
	    "https://Dash.example.com", "HTTPS://dash.example.com",
	    "ftp://dash.example.com", "https://u@dash.example.com",
	    "https://dash.example.com:443", "http://dash.example.com:80",
	    "https://dash.example.com:99999"};

	CHECK_INT(cors_check(NULL), RC_OK);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		CHECK_INT(check_one(good[i]), RC_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(check_one(bad[i]), RC_INVALID);
}

CHECK_MAIN(CHECK_ROW(test_origins))
