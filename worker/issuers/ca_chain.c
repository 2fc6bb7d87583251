#include "worker/issuers/ca_chain.h"

#include <string.h>

#include "common/pki/asn1/pem.h"

#define PEM_LABEL "CERTIFICATE"

rc
ca_chain_read(struct arena *a, const char *pem, struct ca_chain *out)
{
	struct span der, rest = {(const uint8_t *)pem, strlen(pem)};

	out->n = 0;
	while (out->n < CA_CHAIN_MAX) {
		rc ret = pem_read(a, PEM_LABEL, (const char *)rest.p, rest.len,
		    &der, &rest);
		const unsigned char *p = der.p;

		if (ret == RC_NOT_FOUND)
			break;
		if (ret != RC_OK)
			return ret;
		out->certs[out->n] = d2i_X509(NULL, &p, (long)der.len);
		if (!out->certs[out->n])
			return RC_INVALID;
		out->n++;
	}
	return out->n > 0 ? RC_OK : RC_INVALID;
}

void
ca_chain_fini(struct ca_chain *c)
{
	for (size_t i = 0; i < c->n; i++)
		X509_free(c->certs[i]);
	c->n = 0;
}
