/*
 * Certificates of whoever answers a tls-alpn-01 challenge: judged, and nothing
 * that is not whole, self-signed and of that name passes.
 */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/acme/alpn_cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_alpncert: %s\n", what);
		abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t digest[32] = {1, 2, 3};
	static const struct alpn_wanted name = {false, "a.test", digest};
	static const struct alpn_wanted address = {true, "192.0.2.1", digest};
	const char *faults[] = {alpn_cert_fault(data, size, &name),
	    alpn_cert_fault(data, size, &address)};
	const uint8_t *p = data;
	X509 *x;

	must(faults[0] || faults[1], "one certificate for both");
	if (!faults[0] || !faults[1]) {
		x = d2i_X509(NULL, &p, (long)size);
		must(x && p == data + size, "one that can't be read");
		must(memmem(data, size, digest, sizeof(digest)) != NULL,
		    "one without the digest");
		X509_free(x);
	}
	must(ERR_peek_error() == 0, "an error was left");
	return 0;
}
