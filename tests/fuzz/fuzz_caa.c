/*
 * Values of CAA records, one a line, as "tag value" or "!tag value" where it
 * is critical.  None that does not name this CA lets it issue.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/arena.h"
#include "worker/acme/caa_records.h"

#define RECORDS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_caa: %s\n", what);
		abort();
	}
}

static size_t
read_records(char *text, struct dns_caa *records)
{
	size_t n = 0;
	char *line;

	while (n < RECORDS_MAX && (line = strsep(&text, "\n"))) {
		bool is_critical = line[0] == '!';
		char *tag = line + is_critical;
		char *value = tag + strcspn(tag, " ");

		if (*value)
			*value++ = '\0';
		records[n++] = (struct dns_caa){is_critical, tag, value};
	}
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const identities[] = {"ca.test", NULL};
	const struct caa_asked asked = {
	    .identities = identities,
	    .method = "http-01",
	    .account_paths = {"/acme/account/a", "/acme/profile/p/account/a"},
	};
	struct arena *a = arena_new();
	struct dns_caa records[RECORDS_MAX];
	size_t n =
	    read_records(arena_strndup(a, (const char *)data, size), records);
	bool is_meant = false, is_named = false;

	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(records[i].tag, "issue") != 0)
			continue;
		is_meant = true;
		is_named |= strcasestr(records[i].value, "ca.test") != NULL;
	}
	must(caa_forbids(a, records, n, &asked) != NULL || !is_meant ||
		 is_named,
	    "it issues without being named");
	arena_free(a);
	return 0;
}
