/*
 * Files that a search for certificates meets: any bytes, in each form that a
 * name may promise.  What is told of is part of them, and what can be read of
 * it is told of in the same words twice.
 *
 * Input: an octet that chooses the name, then the file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/certfile.h"
#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/cert/discovered.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_certfile: %s\n", what);
		abort();
	}
}

static void
on_certificate(void *arg, const char *format, struct span der)
{
	struct discovered d, again;
	struct arena *a = arg;
	struct span own;
	rc code;

	must(format[0] != '\0', "no format");
	code = discovered_read(a, der, &d);
	if (code != RC_OK)
		return;
	code = pem_read(a, "CERTIFICATE", d.pem, strlen(d.pem), &own, NULL);
	must(code == RC_OK, "no PEM");
	code = discovered_read(a, own, &again);
	must(code == RC_OK, "not taken again");
	must(strcmp(d.fingerprint_sha256, again.fingerprint_sha256) == 0 &&
		 strcmp(d.serial_number, again.serial_number) == 0,
	    "taken for another");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"a.pem", "a.der", "a.p12", "a.p7b",
	    "a.conf"};
	struct arena *a = arena_new();

	if (size > 0)
		(void)certfile_read(a, names[data[0] % ARRAY_LEN(names)],
		    (struct span){data + 1, size - 1}, on_certificate, a);
	arena_free(a);
	return 0;
}
