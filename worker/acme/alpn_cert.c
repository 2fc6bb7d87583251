#include "worker/acme/alpn_cert.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "common/base/attr.h"

#define ACME_IDENTIFIER "1.3.6.1.5.5.7.1.31" /* id-pe-acmeIdentifier */
#define DIGEST_LEN 32

static void
cert_freep(X509 **x)
{
	X509_free(*x);
}

static void
object_freep(ASN1_OBJECT **o)
{
	ASN1_OBJECT_free(*o);
}

static void
names_freep(GENERAL_NAMES **names)
{
	GENERAL_NAMES_free(*names);
}

static void
octets_freep(ASN1_OCTET_STRING **octets)
{
	ASN1_OCTET_STRING_free(*octets);
}

static bool
is_name(const GENERAL_NAME *n, const char *name)
{
	size_t len = strlen(name);

	return n->type == GEN_DNS &&
	       (size_t)ASN1_STRING_length(n->d.dNSName) == len &&
	       strncasecmp((const char *)ASN1_STRING_get0_data(n->d.dNSName),
		   name, len) == 0;
}

static bool
is_address(const GENERAL_NAME *n, const char *address)
{
	CLEANUP(octets_freep)
	ASN1_OCTET_STRING *wanted = a2i_IPADDRESS(address);

	return wanted && n->type == GEN_IPADD &&
	       ASN1_OCTET_STRING_cmp(n->d.iPAddress, wanted) == 0;
}

static const char *
names_fault(X509 *x, const struct alpn_wanted *wanted)
{
	CLEANUP(names_freep) GENERAL_NAMES *names = NULL;
	const GENERAL_NAME *n;
	int critical;

	/* NULL also where there are two such extensions: critical is -2. */
	names = X509_get_ext_d2i(x, NID_subject_alt_name, &critical, NULL);
	if (!names)
		return critical == -2 ? "it has more than one "
					"subjectAltName extension"
				      : "it has no subjectAltName that can be "
					"read";
	if (sk_GENERAL_NAME_num(names) != 1)
		return "its subjectAltName is not one name alone";
	n = sk_GENERAL_NAME_value(names, 0);
	if (wanted->is_address ? is_address(n, wanted->name)
			       : is_name(n, wanted->name))
		return NULL;
	return wanted->is_address ? "its subjectAltName is not that address"
				  : "its subjectAltName is not that name";
}

/* Its value is an OCTET STRING of the digest in DER: 34 bytes, and no other. */
static bool
is_digest(const X509_EXTENSION *e, const uint8_t *digest)
{
	const ASN1_OCTET_STRING *value =
	    X509_EXTENSION_get_data((X509_EXTENSION *)(uintptr_t)e);
	const uint8_t *p = ASN1_STRING_get0_data(value);

	return ASN1_STRING_length(value) == DIGEST_LEN + 2 &&
	       p[0] == V_ASN1_OCTET_STRING && p[1] == DIGEST_LEN &&
	       CRYPTO_memcmp(p + 2, digest, DIGEST_LEN) == 0;
}

static const char *
identifier_fault(X509 *x, const uint8_t *digest)
{
	CLEANUP(object_freep)
	ASN1_OBJECT *oid = OBJ_txt2obj(ACME_IDENTIFIER, 1);
	const X509_EXTENSION *e;
	int at;

	if (!oid)
		return "it can't be looked at";
	at = X509_get_ext_by_OBJ(x, oid, -1);
	if (at < 0)
		return "it has no acmeIdentifier extension";
	if (X509_get_ext_by_OBJ(x, oid, at) >= 0)
		return "it has more than one acmeIdentifier extension";
	e = X509_get_ext(x, at);
	if (!X509_EXTENSION_get_critical(e))
		return "its acmeIdentifier extension is not critical";
	if (!is_digest(e, digest))
		return "its acmeIdentifier extension is not the SHA-256 digest "
		       "of the key authorization";
	return NULL;
}

const char *
alpn_cert_fault(const uint8_t *der, size_t len,
    const struct alpn_wanted *wanted)
{
	CLEANUP(cert_freep) X509 *x = NULL;
	const unsigned char *p = der;
	const char *fault = NULL;

	if (len <= LONG_MAX)
		x = d2i_X509(NULL, &p, (long)len);
	if (!x || p != der + len)
		fault = "it can't be read";
	if (!fault)
		fault = names_fault(x, wanted);
	if (!fault)
		fault = identifier_fault(x, wanted->digest);
	if (!fault && X509_self_signed(x, 1) != 1)
		fault = "it is not self-signed";
	ERR_clear_error();
	return fault;
}
