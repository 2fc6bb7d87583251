#include "common/pki/cert/crlresult.h"

#include <inttypes.h>
#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "common/pki/asn1/pem.h"
#include "common/pki/cert/cert.h"
#include "common/pki/cert/crlentries.h"
#include "common/pki/cert/crlscan.h"

#define CERTS_MAX 9 /* a leaf and its chain */

struct reading {
	struct arena *a;
	const struct crlresult_rules *rules;
	struct crlresult *out;
	struct crlscan scan;
	X509_CRL *crl;     /* but for its entries */
	EVP_PKEY *its_key; /* which signed it */
	const char *why;
};

static rc
refuse(struct reading *r, const char *why)
{
	r->why = why;
	return RC_INVALID;
}

/* --- the bytes --- */

static rc
find_der(struct reading *r, const char *bytes, size_t len)
{
	struct span *der = &r->out->der;
	rc ret;

	if (len > CRLRESULT_BYTES_MAX) {
		r->why = "it is longer than 24 MiB";
		return RC_TOO_LARGE;
	}
	*der = (struct span){(const uint8_t *)bytes, len};
	if (len == 0 || der->p[0] != 0x30) { /* no SEQUENCE */
		ret = pem_read(r->a, "X509 CRL", bytes, len, der, NULL);
		if (ret == RC_NOT_FOUND)
			return refuse(r, "it is neither DER nor PEM (X509 "
					 "CRL)");
		if (ret != RC_OK)
			return refuse(r, "it is not PEM (X509 CRL)");
	}
	if (der->len > CRLRESULT_DER_MAX) {
		r->why = "it is longer than 16 MiB";
		return RC_TOO_LARGE;
	}
	return RC_OK;
}

/* What is served goes out as it came, so it is DER to the last bit: clients
 * may be stricter than what reads it here. */
static rc
parse(struct reading *r)
{
	static const char not_der[] =
	    "it cannot be read as a revocation list, or is not in DER";
	const struct span *head = &r->scan.head;
	const uint8_t *p;
	unsigned char *again = NULL;
	bool is_same;
	rc ret;
	int len;

	ret = crlscan_cut(r->a, r->out->der, &r->scan);
	if (ret == RC_TOO_LARGE) {
		r->why = "what it has beside its entries is longer than 64 KiB";
		return ret;
	}
	if (ret != RC_OK)
		return refuse(r, not_der);
	p = head->p;
	r->crl = d2i_X509_CRL(NULL, &p, (long)head->len);
	if (!r->crl || p != head->p + head->len)
		return refuse(r, not_der);
	len = i2d_X509_CRL(r->crl, &again);
	is_same = len > 0 && (size_t)len == head->len &&
		  memcmp(again, head->p, head->len) == 0;
	OPENSSL_free(again);
	return is_same ? RC_OK : refuse(r, not_der);
}

/* --- whose it is --- */

static size_t
read_certs(struct arena *a, const char *pem, X509 *out[CERTS_MAX])
{
	struct span der, rest = {(const uint8_t *)pem, strlen(pem)};
	size_t n = 0;

	while (n < CERTS_MAX && pem_read(a, "CERTIFICATE", (const char *)rest.p,
				    rest.len, &der, &rest) == RC_OK) {
		const uint8_t *p = der.p;

		out[n] = d2i_X509(NULL, &p, (long)der.len);
		if (!out[n])
			break;
		n++;
	}
	return n;
}

/* Whether the first of them was issued by this one. */
static bool
is_the_ca(X509 *leaf, X509 *ca)
{
	EVP_PKEY *key = X509_get0_pubkey(ca);

	return key &&
	       X509_NAME_cmp(X509_get_issuer_name(leaf),
		   X509_get_subject_name(ca)) == 0 &&
	       X509_verify(leaf, key) == 1;
}

/* X509_CRL_verify, over all of it. */
static bool
is_signed_by(const struct reading *r, EVP_PKEY *key)
{
	ASN1_STRING *tbs = ASN1_STRING_type_new(V_ASN1_SEQUENCE);
	const ASN1_BIT_STRING *signature;
	const X509_ALGOR *algorithm;
	bool is_good;

	X509_CRL_get0_signature(r->crl, &signature, &algorithm);
	is_good =
	    tbs &&
	    ASN1_STRING_set(tbs, r->scan.tbs.p, (int)r->scan.tbs.len) == 1 &&
	    ASN1_item_verify(ASN1_ITEM_rptr(ASN1_SEQUENCE), algorithm,
		signature, tbs, key) == 1;
	ASN1_STRING_free(tbs);
	return is_good;
}

/* RC_NOT_FOUND: another one's. */
static rc
check_signer(struct reading *r, X509 *ca)
{
	struct cert_info info;
	rc ret;

	if (X509_NAME_cmp(X509_CRL_get_issuer(r->crl),
		X509_get_subject_name(ca)) != 0 ||
	    !is_signed_by(r, X509_get0_pubkey(ca)))
		return RC_NOT_FOUND;
	/* UINT32_MAX where the certificate does not say. */
	if (!(X509_get_key_usage(ca) & KU_CRL_SIGN))
		return refuse(r, "the key usage of its CA's certificate has no "
				 "cRLSign");
	ret = cert_read(r->a, ca, &info);
	if (ret != RC_OK)
		return refuse(r, "its CA's certificate cannot be read");
	memcpy(r->out->ca_fingerprint, info.fingerprint_sha256,
	    sizeof(r->out->ca_fingerprint));
	r->its_key = X509_get_pubkey(ca);
	return RC_OK;
}

/* RC_NOT_FOUND: none of these.  *out_known: whether the CA is among them. */
static rc
check_issued(struct reading *r, const char *issued, bool *out_known)
{
	X509 *certs[CERTS_MAX];
	size_t n = read_certs(r->a, issued, certs);
	rc ret = RC_NOT_FOUND;

	for (size_t i = 0; i < n && ret == RC_NOT_FOUND; i++) {
		if (!is_the_ca(certs[0], certs[i]))
			continue;
		*out_known = true;
		ret = check_signer(r, certs[i]);
	}
	for (size_t i = 0; i < n; i++)
		X509_free(certs[i]);
	return ret;
}

static rc
check_whose(struct reading *r)
{
	bool is_known = false;
	rc ret = RC_NOT_FOUND;

	for (size_t i = 0; i < r->rules->nissued && ret == RC_NOT_FOUND; i++)
		ret = check_issued(r, r->rules->issued[i], &is_known);
	if (ret != RC_NOT_FOUND)
		return ret;
	if (!is_known)
		return refuse(r, "the CA's own certificate is not known, so "
				 "nobody can tell whose list it is: have the "
				 "chain written after each certificate");
	return refuse(r, "it is not signed by the CA that issued the "
			 "certificates, or not under its name");
}

/* --- whose it is not --- */

/* A list is of one key and name (RFC 5280 section 5): of what the CA signed by
 * another it says nothing, whatever stands in it. */
static bool
is_of(const struct reading *r, X509 *ca)
{
	return X509_NAME_cmp(X509_CRL_get_issuer(r->crl),
		   X509_get_subject_name(ca)) == 0 &&
	       EVP_PKEY_eq(X509_get0_pubkey(ca), r->its_key) == 1;
}

/* The CA of these certificates, unless the list is of it or the first of them
 * has ended. */
static X509 *
other_ca(const struct reading *r, X509 *const certs[], size_t n)
{
	X509 *other = NULL;
	int64_t ends = 0;

	if (n == 0 || cert_time(X509_get0_notAfter(certs[0]), &ends) != RC_OK ||
	    ends <= r->rules->now_unix)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (!is_the_ca(certs[0], certs[i]))
			continue;
		if (is_of(r, certs[i]))
			return NULL;
		other = certs[i];
	}
	return other;
}

static void
note_other(struct reading *r, X509 *ca)
{
	const char **words = &r->out->others;
	struct cert_info info;
	rc ret = cert_read(r->a, ca, &info);

	if (ret != RC_OK || (*words && strstr(*words, info.fingerprint_sha256)))
		return;
	*words =
	    *words
		? arena_printf(r->a, "%s, %s", *words, info.fingerprint_sha256)
		: arena_printf(r->a,
		      "certificates are in use that another key or name "
		      "of the CA signed, and a list is of one key: that "
		      "of the CA's certificate with SHA-256 %s",
		      info.fingerprint_sha256);
}

static void
find_others(struct reading *r)
{
	for (size_t i = 0; i < r->rules->nissued; i++) {
		X509 *certs[CERTS_MAX];
		size_t n = read_certs(r->a, r->rules->issued[i], certs);
		X509 *other = other_ca(r, certs, n);

		if (other)
			note_other(r, other);
		for (size_t k = 0; k < n; k++)
			X509_free(certs[k]);
	}
}

/* --- what it is --- */

static rc
check_times(struct reading *r)
{
	struct crlresult *out = r->out;
	int64_t now = r->rules->now_unix;
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(r->crl);

	if (!next)
		return refuse(r, "it does not say when the next one comes "
				 "(nextUpdate)");
	if (cert_time(X509_CRL_get0_lastUpdate(r->crl),
		&out->this_update_unix) != RC_OK ||
	    cert_time(next, &out->next_update_unix) != RC_OK)
		return refuse(r, "its times cannot be read");
	if (out->this_update_unix > now + CRLRESULT_SKEW_S)
		return refuse(r,
		    arena_printf(r->a, "it is of the future, of %s",
			cert_time_text(r->a, out->this_update_unix)));
	if (out->next_update_unix <= now ||
	    out->next_update_unix <= out->this_update_unix)
		return refuse(r,
		    arena_printf(r->a, "it ended at %s",
			cert_time_text(r->a, out->next_update_unix)));
	return RC_OK;
}

static rc
check_number(struct reading *r)
{
	int critical = -1;
	ASN1_INTEGER *n =
	    X509_CRL_get_ext_d2i(r->crl, NID_crl_number, &critical, NULL);
	int64_t number = -1;
	int is_good = n && ASN1_INTEGER_get_int64(&number, n) && number >= 0;

	ASN1_INTEGER_free(n);
	if (critical == -1)
		return refuse(r, "it has no number (CRL number, RFC 5280 "
				 "section 5.2.3), so nobody can tell which of "
				 "two is the newer");
	if (!is_good)
		return refuse(r, "its number cannot be read, or is longer than "
				 "63 bits");
	r->out->number = number;
	return RC_OK;
}

/* A list of a part, or of what others issued, is none of this CA's: whoever is
 * not in it would count as good. */
static rc
check_scope(struct reading *r)
{
	int critical = -1;
	ISSUING_DIST_POINT *p = X509_CRL_get_ext_d2i(r->crl,
	    NID_issuing_distribution_point, &critical, NULL);
	bool is_part = p && (p->onlyCA > 0 || p->onlyattr > 0 ||
				p->indirectCRL > 0 || p->onlysomereasons);
	bool is_unreadable = !p && critical != -1;

	ISSUING_DIST_POINT_free(p);
	if (is_unreadable)
		return refuse(r, "what it is of (issuing distribution point) "
				 "cannot be read");
	if (is_part || X509_CRL_get_ext_by_NID(r->crl, NID_delta_crl, -1) >= 0)
		return refuse(r,
		    "it is not the whole list of this CA's "
		    "certificates: a delta, indirect, or of a part "
		    "of them");
	return RC_OK;
}

/* Clients refuse a list with one that they do not know. */
static rc
check_critical(struct reading *r)
{
	for (int i = -1;
	     (i = X509_CRL_get_ext_by_critical(r->crl, 1, i)) >= 0;) {
		const X509_EXTENSION *e = X509_CRL_get_ext(r->crl, i);

		if (OBJ_obj2nid(X509_EXTENSION_get_object(
			(X509_EXTENSION *)e)) != NID_issuing_distribution_point)
			return refuse(r, "it has a critical extension that is "
					 "not known");
	}
	return RC_OK;
}

static rc
check_entries(struct reading *r)
{
	const struct crlresult_rules *k = r->rules;
	struct crlentries found;
	rc ret;

	ret = crlentries_read(r->a, r->scan.entries, k->revoked, k->nrevoked,
	    &found);
	if (ret != RC_OK)
		return refuse(r, "one of its entries is none, or is not in "
				 "DER");
	if (found.has_critical)
		return refuse(r, "one of its entries has a critical extension "
				 "that is not known");
	r->out->nentries = found.n;
	r->out->lacks = found.lacks;
	return RC_OK;
}

/* --- beside what is known here --- */

static rc
check_newer(struct reading *r)
{
	const struct crlresult_rules *k = r->rules;
	const struct crlresult *out = r->out;

	if (!k->served_ca)
		return RC_OK;
	/* Numbers of another key's lists are not of the same row.  A CA that
	 * was restored may count anew: once the one that is here has ended
	 * nobody gets it any more, and the times alone say which is newer. */
	if (strcmp(k->served_ca, out->ca_fingerprint) == 0 &&
	    out->number < k->served_number &&
	    k->served_next_update_unix > k->now_unix)
		return refuse(r,
		    arena_printf(r->a,
			"it is older than the one that is served: number "
			"%" PRId64 ", and %" PRId64 " is served until %s; "
			"have the CA go on from there",
			out->number, k->served_number,
			cert_time_text(r->a, k->served_next_update_unix)));
	if (out->this_update_unix < k->served_this_update_unix)
		return refuse(r,
		    arena_printf(r->a,
			"it is older than the one that is served: of %s, and "
			"that of %s is served",
			cert_time_text(r->a, out->this_update_unix),
			cert_time_text(r->a, k->served_this_update_unix)));
	return RC_OK;
}

rc
crlresult_read(struct arena *a, const struct crlresult_rules *rules,
    const char *bytes, size_t len, struct crlresult *out, const char **out_why)
{
	struct crlresult result = {0};
	struct reading r = {.a = a, .rules = rules, .out = &result};
	rc ret;

	ret = find_der(&r, bytes, len);
	if (ret == RC_OK)
		ret = parse(&r);
	if (ret == RC_OK)
		ret = check_whose(&r);
	if (ret == RC_OK)
		ret = check_scope(&r);
	if (ret == RC_OK)
		ret = check_critical(&r);
	if (ret == RC_OK)
		ret = check_times(&r);
	if (ret == RC_OK)
		ret = check_number(&r);
	if (ret == RC_OK)
		ret = check_newer(&r);
	if (ret == RC_OK)
		ret = check_entries(&r);
	if (ret == RC_OK)
		find_others(&r);
	X509_CRL_free(r.crl);
	EVP_PKEY_free(r.its_key);
	ERR_clear_error();
	if (ret == RC_OK)
		*out = result;
	else
		*out_why = r.why;
	return ret;
}
