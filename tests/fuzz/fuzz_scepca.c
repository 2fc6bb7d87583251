/*
 * Answers to GetCACert from whoever sends them: refused, or certificates that
 * are read again, and shown without anything that hides.
 */
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/plain.h"
#include "common/pki/cert/discovered.h"
#include "common/pki/cert/scepca.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_scepca: %s\n", what);
		abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	struct scepca ca;
	rc ret;

	ret = scepca_read(a, (struct span){data, size}, &ca);
	must(ret == RC_OK || ret == RC_INVALID, "another answer");
	if (ret == RC_OK) {
		must(ca.n >= 1 && ca.n <= SCEPCA_CERTS_MAX, "how many");
		must(ca.ca < ca.n, "the CA is none of them");
		for (size_t i = 0; i < ca.n; i++) {
			struct discovered d;

			ret = discovered_read(a, ca.certs[i], &d);
			must(ret != RC_OK || plain_is_line(d.subject_dn),
			    "a name that hides");
		}
	}
	ERR_clear_error();
	arena_free(a);
	return 0;
}
