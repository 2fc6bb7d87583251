#include "common/pki/cert/scepca.h"

#include <openssl/err.h>
#include <openssl/pkcs7.h>
#include <openssl/x509v3.h>
#include <string.h>

static rc
add(struct arena *a, X509 *x, struct scepca *out)
{
	int len = i2d_X509(x, NULL);
	unsigned char *der, *p;

	if (len <= 0 || out->n == SCEPCA_CERTS_MAX)
		return RC_INVALID;
	p = der = arena_alloc(a, (size_t)len);
	if (i2d_X509(x, &p) != len)
		return RC_INVALID;
	out->certs[out->n++] = (struct span){der, (size_t)len};
	return RC_OK;
}

static bool
is_ca(X509 *x)
{
	return (X509_get_extension_flags(x) & EXFLAG_CA) != 0;
}

static rc
read_one(struct arena *a, struct span answer, struct scepca *out)
{
	const unsigned char *p = answer.p;
	X509 *x = d2i_X509(NULL, &p, (long)answer.len);
	rc ret = RC_INVALID;

	if (x && p == answer.p + answer.len)
		ret = add(a, x, out);
	X509_free(x);
	return ret;
}

static rc
read_all(struct arena *a, const STACK_OF(X509) * certs, struct scepca *out)
{
	bool has_ca = false;
	rc ret = RC_OK;

	for (int i = 0; ret == RC_OK && i < sk_X509_num(certs); i++) {
		X509 *x = sk_X509_value(certs, i);

		if (!has_ca && is_ca(x)) {
			out->ca = out->n;
			has_ca = true;
		}
		ret = add(a, x, out);
	}
	return ret == RC_OK && out->n > 0 ? RC_OK : RC_INVALID;
}

/* Signed by nobody: there is nothing in it but certificates. */
static rc
read_pkcs7(struct arena *a, struct span answer, struct scepca *out)
{
	const unsigned char *p = answer.p;
	PKCS7 *p7 = d2i_PKCS7(NULL, &p, (long)answer.len);
	rc ret = RC_INVALID;

	if (p7 && p == answer.p + answer.len && PKCS7_type_is_signed(p7) &&
	    p7->d.sign && p7->d.sign->cert)
		ret = read_all(a, p7->d.sign->cert, out);
	PKCS7_free(p7);
	return ret;
}

rc
scepca_read(struct arena *a, struct span answer, struct scepca *out)
{
	struct scepca read = {0};
	rc ret;

	if (answer.len < 1 || answer.len > SCEPCA_BYTES_MAX)
		return RC_INVALID;
	ret = read_one(a, answer, &read);
	if (ret != RC_OK) {
		read = (struct scepca){0};
		ret = read_pkcs7(a, answer, &read);
	}
	ERR_clear_error();
	if (ret == RC_OK)
		*out = read;
	return ret;
}
