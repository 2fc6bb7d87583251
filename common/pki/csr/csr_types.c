/*
 * What kinds of attributes a request has.
 */
#include "common/pki/asn1/der.h"
#include "common/pki/asn1/oid.h"
#include "common/pki/csr/csr.h"

/* SEQUENCEs that begin with an OID, up to the one of this type. */
static bool
types_have(struct der list, struct span oid)
{
	while (der_more(&list)) {
		struct der item = der_enter(&list, DER_SEQUENCE);

		if (span_equal(der_take(&item, DER_OID), oid))
			return true;
	}
	return false;
}

static bool
subject_has(struct der name, struct span oid)
{
	while (der_more(&name)) {
		if (types_have(der_enter(&name, DER_SET), oid))
			return true;
	}
	return false;
}

/* The extensions that the request asks for. */
static bool
extensions_have(struct der attrs, struct span oid)
{
	while (der_more(&attrs)) {
		struct der attr = der_enter(&attrs, DER_SEQUENCE), set;
		struct span type = der_take(&attr, DER_OID);

		if (!span_equal(type, oid_extension_request))
			continue;
		set = der_enter(&attr, DER_SET);
		return types_have(der_enter(&set, DER_SEQUENCE), oid);
	}
	return false;
}

bool
csr_has_type(const struct csr *c, struct span oid)
{
	struct der top, info, subject, attrs;
	bool bad = false, has;

	der_init(&top, c->tbs, &bad);
	info = der_enter(&top, DER_SEQUENCE);
	(void)der_take(&info, DER_INTEGER); /* the version */
	subject = der_enter(&info, DER_SEQUENCE);
	(void)der_take(&info, DER_SEQUENCE); /* the key */
	has = subject_has(subject, oid);
	if (der_peek(&info) == (DER_CONTEXT_CONS | 0)) {
		attrs = der_enter(&info, DER_CONTEXT_CONS | 0);
		has = has || types_have(attrs, oid) ||
		      extensions_have(attrs, oid);
	}
	return has && !bad;
}
