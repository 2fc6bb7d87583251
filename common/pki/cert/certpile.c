#include "common/pki/cert/certpile.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "common/base/rc.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/cert/cert.h"

struct pile {
	struct arena *a;
	size_t n;
	X509 *x[CERTPILE_MAX]; /* NULL: taken */
};

static void
pile_free(struct pile *p)
{
	for (size_t i = 0; i < p->n; i++)
		X509_free(p->x[i]);
	ERR_clear_error();
}

static rc
pile_read(struct pile *p, const char *pem, size_t len)
{
	struct span der = {0}, rest = {(const uint8_t *)pem, len};
	const uint8_t *at;
	rc ret;

	for (;;) {
		ret = pem_read(p->a, "CERTIFICATE", (const char *)rest.p,
		    rest.len, &der, &rest);
		if (ret == RC_NOT_FOUND)
			return RC_OK;
		if (ret != RC_OK || p->n == CERTPILE_MAX)
			return RC_INVALID;
		at = der.p;
		p->x[p->n] = d2i_X509(NULL, &at, (long)der.len);
		if (!p->x[p->n])
			return RC_INVALID;
		p->n++;
	}
}

static X509 *
take(struct pile *p, size_t i)
{
	X509 *x = p->x[i];

	p->x[i] = NULL;
	return x;
}

static X509 *
take_leaf(struct pile *p, EVP_PKEY *key)
{
	for (size_t i = 0; i < p->n; i++)
		if (cert_match_key(p->x[i], key) == RC_OK)
			return take(p, i);
	for (size_t i = 0; i < p->n; i++)
		if (X509_check_ca(p->x[i]) == 0)
			return take(p, i);
	return NULL;
}

static bool
is_signed_by(X509 *x, X509 *above)
{
	EVP_PKEY *key = X509_get0_pubkey(above);

	return X509_NAME_cmp(X509_get_issuer_name(x),
		   X509_get_subject_name(above)) == 0 &&
	       key && X509_verify(x, key) == 1;
}

/* Who signed it, and is no root; NULL: not in the pile. */
static X509 *
take_above(struct pile *p, X509 *x)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->x[i] && is_signed_by(x, p->x[i]) &&
		    X509_self_signed(p->x[i], 0) != 1)
			return take(p, i);
	return NULL;
}

static const char *
write_up(struct pile *p, X509 *leaf)
{
	const char *text = "";
	X509 *above;
	char *pem;
	rc ret;

	for (X509 *x = leaf; x; x = above) {
		above = take_above(p, x);
		ret = cert_x509_pem(p->a, x, &pem);
		X509_free(x);
		if (ret != RC_OK) {
			X509_free(above);
			return NULL;
		}
		text = arena_printf(p->a, "%s%s", text, pem);
	}
	return text;
}

bool
certpile_is_of_key(struct span spki, const char *pem, size_t len)
{
	const uint8_t *at = spki.p;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)spki.len);
	bool is_its = false;
	X509 *x;

	if (key && cert_from_pem(pem, len, &x) == RC_OK) {
		is_its = cert_match_key(x, key) == RC_OK;
		X509_free(x);
	}
	EVP_PKEY_free(key);
	ERR_clear_error();
	return is_its;
}

const char *
certpile_order(struct arena *a, struct span spki, const char *pem, size_t len)
{
	const uint8_t *at = spki.p;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)spki.len);
	struct pile p = {.a = a};
	const char *text = NULL;
	X509 *leaf;

	if (key && pile_read(&p, pem, len) == RC_OK) {
		leaf = take_leaf(&p, key);
		text = leaf ? write_up(&p, leaf) : NULL;
	}
	EVP_PKEY_free(key);
	pile_free(&p);
	return text;
}
