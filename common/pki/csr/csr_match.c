/*
 * Whether a request asks for exactly the names it may have.
 */
#include <string.h>

#include "common/pki/asn1/name.h"
#include "common/pki/csr/csr.h"

rc
csr_match_names(struct arena *a, const struct csr *c, const char *common_name,
    const char *const *sans, size_t nsans, const char **out_why)
{
	struct san *allowed = arena_alloc(a, (nsans + 1) * sizeof(allowed[0]));
	size_t n = 0;

	for (size_t i = 0; i <= nsans; i++) {
		const char *text = i == 0 ? common_name : sans[i - 1], *why;

		if (!text || !*text)
			continue;
		why = name_read(a, text, &allowed[n++]);
		if (why) {
			*out_why = arena_printf(a,
			    "the certificate's name %s: %s", text, why);
			return RC_INVALID;
		}
	}
	for (size_t i = 0; i < c->nnames; i++) {
		if (!name_find(allowed, n, &c->names[i])) {
			*out_why = arena_printf(a,
			    "the request asks for %s, which the certificate "
			    "does not name",
			    c->names[i].text);
			return RC_INVALID;
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (!name_find(c->names, c->nnames, &allowed[i])) {
			*out_why = arena_printf(a, "the request lacks %s",
			    allowed[i].text);
			return RC_INVALID;
		}
	}
	return RC_OK;
}
