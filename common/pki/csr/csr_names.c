/*
 * The names of a request: its alternative names, and what a certificate for
 * it is to carry.
 */
#include <string.h>

#include "common/pki/asn1/der.h"
#include "common/pki/asn1/name.h"
#include "common/pki/csr/csr_int.h"

static void
read_san(struct csr_reading *r, uint8_t tag, struct span value, struct san *out)
{
	const char *why;

	switch (tag) {
	case DER_CONTEXT | 1:
		out->type = SAN_EMAIL;
		break;
	case DER_CONTEXT | 2:
		out->type = SAN_DNS;
		break;
	case DER_CONTEXT | 6:
		out->type = SAN_URI;
		break;
	case DER_CONTEXT | 7:
		if (value.len != 4 && value.len != 16) {
			csr_refuse(r, "an IP name has not 4 or 16 octets");
			return;
		}
		name_fill_address(r->a, value, out);
		return;
	default:
		csr_refuse(r, "an alternative name has an unsupported type");
		return;
	}
	why = name_refuse_san(out->type, (const char *)value.p, value.len);
	if (why)
		csr_refuse(r, why);
	else
		name_fill_text(r->a, value, out);
}

/* The value of the extension: SEQUENCE OF GeneralName. */
void
csr_read_sans(struct csr_reading *r, struct span value)
{
	struct der top, names;
	struct san *sans;
	size_t n = 0;

	der_init(&top, value, &r->bad);
	names = der_enter(&top, DER_SEQUENCE);
	der_end(&top);
	for (struct der count = names; der_more(&count); n++)
		(void)der_take(&count, DER_ANY); /* bad is seen below */
	if (!csr_going(r))
		return;
	if (n < 1) {
		csr_refuse(r, "the subjectAltName extension is empty");
		return;
	}
	if (n > CSR_NAMES_MAX) {
		csr_refuse(r, "the request has more than 101 names");
		return;
	}
	sans = arena_alloc(r->a, n * sizeof(*sans));
	for (size_t i = 0; i < n && csr_going(r); i++) {
		uint8_t tag = der_peek(&names);

		read_san(r, tag, der_take(&names, DER_ANY), &sans[i]);
	}
	r->c->sans = sans;
	r->c->nsans = n;
}

void
csr_settle_names(struct csr_reading *r)
{
	struct csr *c = r->c;
	struct san *names =
	    arena_alloc(r->a, (c->nsans + 1) * sizeof(names[0]));
	struct san cn = {0};
	size_t n = 0;

	if (c->common_name) {
		if (name_read(r->a, c->common_name, &cn)) {
			csr_refuse(r, "the common name is no DNS name, "
				      "address, e-mail address or URI: it must "
				      "be one of the alternative names");
			return;
		}
		if (!name_find(c->sans, c->nsans, &cn))
			names[n++] = cn;
		if (strlen(cn.text) <= CSR_COMMON_NAME_MAX)
			c->leaf_common_name = cn.text;
	}
	for (size_t i = 0; i < c->nsans; i++) {
		if (!name_find(names, n, &c->sans[i]))
			names[n++] = c->sans[i];
	}
	if (n < 1)
		csr_refuse(r, "the request has neither a common name nor an "
			      "alternative name");
	if (n > CSR_NAMES_MAX)
		csr_refuse(r, "the request has more than 101 names");
	c->names = names;
	c->nnames = n;
}
