/*
 * test_certid: certificates by the key of their issuer and their serial.
 */
#include <string.h>

#include "common/base/enc.h"
#include "common/pki/cert/certid.h"
#include "tests/unit/check.h"

/* The certificate of RFC 9773 appendix A. */
static const char leaf[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt\n"
    "cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS\n"
    "BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu\n"
    "7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf\n"
    "qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B\n"
    "yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb\n"
    "+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK\n"
    "-----END CERTIFICATE-----\n";

static void
test_rfc(void)
{
	struct arena *a = arena_new();
	struct certid named, read;

	CHECK_INT(certid_parse(a, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE",
		      &named),
	    RC_OK);
	CHECK_STR(named.serial_hex, "0000000000000000000000000000000087654321");
	CHECK_INT(certid_of_pem(a, leaf, &read), RC_OK);
	CHECK(certid_equal(&named, &read));
	CHECK_INT(certid_parse(a, "aYhba4dGQEHhs3uEe6CuLN4ByNU.AIdlQyE",
		      &named),
	    RC_OK);
	CHECK(!certid_equal(&named, &read));
	arena_free(a);
}

static void
test_refused(void)
{
	static const char *const bad[] = {"", ".", "AA.", ".AA", "AQ", "AQ.AQ.",
	    "AQ.AQ.AQ", "AQ==.AQ", "AQ.AQ==", "AQ.h2VDIQ", /* negative */
	    "AQ.AAE", /* a zero too many */ "AQ.AA",       /* the serial 0 */
	    "AR.AQ", "A+.AQ", "AQ.AQEBAQEBAQEBAQEBAQEBAQEBAQEB"};
	struct arena *a = arena_new();
	struct certid id;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (certid_parse(a, bad[i], &id) == RC_OK)
			printf("  %s\n", bad[i]);
		CHECK_INT(certid_parse(a, bad[i], &id), RC_INVALID);
	}
	CHECK_INT(certid_of_pem(a, "", &id), RC_INVALID);
	CHECK_INT(certid_of_pem(a,
		      "-----BEGIN CERTIFICATE-----\nMAA=\n"
		      "-----END CERTIFICATE-----\n",
		      &id),
	    RC_INVALID);
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(test_rfc), CHECK_ROW(test_refused))
