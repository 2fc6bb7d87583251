/*
 * What web sites answer to http-01: the first line is a Location, the rest a
 * body.  No redirect leads elsewhere than to http or https on 80 or 443.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/http/http_url.h"
#include "worker/acme/http_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_acmehttp: %s\n", what);
		abort();
	}
}

static void
redirect(struct arena *a, const char *location)
{
	struct http01_target to;
	const char *url = "http://a.test/.well-known/acme-challenge/token";

	if (http01_redirect(a, url, location, &to) != NULL)
		return;
	must(to.port == 80 || to.port == 443, "another port");
	must(http_url_refuses(to.url) == NULL, "an address that is refused");
	must(to.host[0] != '\0' && to.host[0] != '[', "no host");
	must(!strchr(to.url, '\n') && !strchr(to.url, '\r'), "two lines");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char wanted[] = "token.thumbprint";
	struct arena *a = arena_new();
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	size_t len = end ? (size_t)(end - data) : size;

	redirect(a, arena_strndup(a, (const char *)data, len));
	if (end) {
		const char *body = (const char *)end + 1;
		size_t left = size - len - 1;

		must(!http01_holds(body, left, wanted) ||
			 (left >= sizeof(wanted) - 1 &&
			     memcmp(body, wanted, sizeof(wanted) - 1) == 0),
		    "another body passes");
	}
	arena_free(a);
	return 0;
}
