/*
 * Name constraints from whoever registers a root, or writes them: refused, or
 * what is read from a certificate is read again from its text, and from a
 * certificate that is made of it, the same.
 */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/plain.h"
#include "common/json/json.h"
#include "common/pki/cert/constraints.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_constraints: %s\n", what);
		abort();
	}
}

/* As text and as a certificate's extension: the same again. */
static void
check_same(struct arena *a, const struct constraints *c)
{
	const char *text = constraints_json(a, c), *why;
	struct constraints again;
	const struct cJSON *json;
	X509 *x = X509_new();
	rc ret;

	must(plain_is_line(text), "a name that hides");
	ret = json_parse(a, text, strlen(text), &json, &why);
	must(ret == RC_OK, "text that is no JSON");
	ret = constraints_read(a, json, &again, &why);
	must(ret == RC_OK, "text that is not read again");
	must(strcmp(constraints_json(a, &again), text) == 0, "another text");
	ret = constraints_add(x, c);
	must(ret == RC_OK, "no extension");
	ret = constraints_of(a, x, &again, &why);
	must(ret == RC_OK, "an extension that is not read again");
	must(strcmp(constraints_json(a, &again), text) == 0,
	    "another extension");
	ret = constraints_narrow(a, c, &again, &why);
	must(ret == RC_OK, "not within itself");
	X509_free(x);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	const unsigned char *p = data;
	X509 *x = d2i_X509(NULL, &p, (long)size);
	const struct cJSON *json;
	struct constraints c;
	const char *why;
	rc ret;

	if (x) {
		ret = constraints_of(a, x, &c, &why);
		must(ret == RC_OK || ret == RC_INVALID, "another answer");
		if (ret == RC_OK)
			check_same(a, &c);
	}
	ret = json_parse(a, (const char *)data, size, &json, &why);
	if (ret == RC_OK)
		ret = constraints_read(a, json, &c, &why);
	if (ret == RC_OK)
		check_same(a, &c);
	X509_free(x);
	ERR_clear_error();
	arena_free(a);
	return 0;
}
