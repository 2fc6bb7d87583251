#include "worker/issuers/crl_urls.h"

#include <string.h>

#define CRL_PATH "/.well-known/pki/crl/"

void
crl_urls_name(struct arena *a, const char **urls, const char *issuer_id,
    const char *list)
{
	const char *end = arena_printf(a, CRL_PATH "%s", issuer_id);
	size_t len, end_len = strlen(end);

	for (; urls && *urls; urls++) {
		len = strlen(*urls);
		if (len >= end_len && strcmp(*urls + len - end_len, end) == 0)
			*urls = arena_printf(a, "%s%s", *urls,
			    list + strlen(issuer_id));
	}
}
