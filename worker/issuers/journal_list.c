#include "worker/issuers/journal_list.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "common/pki/cert/cert.h"
#include "common/pki/cert/crl.h"

static rc
read_number(X509_CRL *crl, int64_t *out)
{
	ASN1_INTEGER *n = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
	int64_t number = 0;
	int good = n && ASN1_INTEGER_get_int64(&number, n);

	ASN1_INTEGER_free(n);
	if (!good)
		return RC_INVALID;
	*out = number;
	return RC_OK;
}

static int64_t
read_reason(const X509_REVOKED *r)
{
	ASN1_ENUMERATED *e =
	    X509_REVOKED_get_ext_d2i(r, NID_crl_reason, NULL, NULL);
	int64_t code = 0;

	if (e && !ASN1_ENUMERATED_get_int64(&code, e))
		code = 0;
	ASN1_ENUMERATED_free(e);
	return code;
}

static rc
read_entry(struct arena *a, const X509_REVOKED *r, struct journal_list *l)
{
	char serial[41];
	struct tm tm;
	rc ret;

	ret = cert_serial_hex(X509_REVOKED_get0_serialNumber(r), serial);
	if (ret != RC_OK ||
	    ASN1_TIME_to_tm(X509_REVOKED_get0_revocationDate(r), &tm) != 1)
		return RC_INVALID;
	l->serials[l->n] = arena_strdup(a, serial);
	l->reasons[l->n] = crl_reason_name(read_reason(r));
	l->revoked_at_unix[l->n] = (int64_t)timegm(&tm);
	l->n++;
	return RC_OK;
}

rc
journal_list_read(struct arena *a, const uint8_t *der, size_t len,
    struct journal_list *out)
{
	const unsigned char *p = der;
	X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)len);
	struct journal_list l = {0};
	STACK_OF(X509_REVOKED) * all;
	size_t n;
	rc ret;

	if (!crl)
		return RC_INVALID;
	all = X509_CRL_get_REVOKED(crl);
	n = all ? (size_t)sk_X509_REVOKED_num(all) : 0;
	l.serials = arena_alloc(a, (n + 1) * sizeof(l.serials[0]));
	l.reasons = arena_alloc(a, (n + 1) * sizeof(l.reasons[0]));
	l.revoked_at_unix =
	    arena_alloc(a, (n + 1) * sizeof(l.revoked_at_unix[0]));
	ret = read_number(crl, &l.number);
	for (size_t i = 0; ret == RC_OK && i < n; i++)
		ret = read_entry(a, sk_X509_REVOKED_value(all, (int)i), &l);
	X509_CRL_free(crl);
	if (ret == RC_OK)
		*out = l;
	return ret;
}
