/*
 * Reports of discoveries: what is kept of an entry is JSON that is taken again
 * as it is, and its PEM text one certificate of its fingerprint; of a private
 * key there is nothing.
 *
 * Input: the body of a report.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "apiserver/handlers/discovery/discovery.h"
#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/cert/discovered.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_discovery: %s\n", what);
		abort();
	}
}

static void
check_pem(struct arena *a, const struct cJSON *kept)
{
	const char *pem = "", *fingerprint = "";
	struct discovered d;
	struct span der;
	rc code;

	code = json_str(kept, "pem_data", 1 << 20, &pem);
	must(code == RC_OK, "no pem_data");
	if (*pem == '\0')
		return;
	must(strstr(pem, "PRIVATE") == NULL, "a key");
	code = pem_read(a, "CERTIFICATE", pem, strlen(pem), &der, NULL);
	must(code == RC_OK, "no PEM");
	code = discovered_read(a, der, &d);
	must(code == RC_OK, "no certificate");
	must(strcmp(d.pem, pem) == 0, "more than the certificate");
	code = json_str(kept, "fingerprint_sha256", 64, &fingerprint);
	must(code == RC_OK && strcmp(fingerprint, d.fingerprint_sha256) == 0,
	    "another's fingerprint");
}

static void
check_entry(struct arena *a, const struct cJSON *entry, size_t i)
{
	const struct cJSON *kept;
	const char *why = NULL;
	struct buf b, again;
	struct json_w w;
	rc code;

	buf_init(&b, 0);
	buf_init(&again, 0);
	json_w_init(&w, &b);
	code = discovery_entry_put(a, &w, entry, i, &why);
	if (code == RC_OK) {
		code = json_parse(a, buf_cstr(&b), b.len, &kept, &why);
		must(code == RC_OK, "no JSON");
		check_pem(a, kept);
		json_w_init(&w, &again);
		code = discovery_entry_put(a, &w, kept, i, &why);
		must(code == RC_OK, "not taken again");
		must(strcmp(buf_cstr(&b), buf_cstr(&again)) == 0,
		    "taken for another");
	} else {
		must(why != NULL && why[0] != '\0', "no reason");
	}
	buf_fini(&b);
	buf_fini(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	const struct cJSON *body, *one;
	const char *why;
	size_t i = 0;
	rc code;

	code = json_parse(a, (const char *)data, size, &body, &why);
	if (code == RC_OK) {
		cJSON_ArrayForEach(one, json_get(body, "certificates"))
		    check_entry(a, one, i++);
	}
	arena_free(a);
	return 0;
}
