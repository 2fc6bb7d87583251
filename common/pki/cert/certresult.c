#include "common/pki/cert/certresult.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

#include "common/pki/asn1/name.h"
#include "common/pki/asn1/pem.h"

struct reading {
	struct arena *a;
	const struct certresult_rules *rules;
	struct certresult *out;
	const char *serial;
	const char *why;
};

static rc
refuse(struct reading *r, const char *why)
{
	r->why = why;
	return RC_INVALID;
}

/* --- names --- */

/* URIs are compared as they stand: their paths tell workloads apart. */
static bool
same_name(enum san_type type, const char *a, const char *b)
{
	return type == SAN_URI ? strcmp(a, b) == 0 : strcasecmp(a, b) == 0;
}

static bool
list_has(const struct san *list, size_t n, enum san_type type, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].type == type && same_name(type, list[i].text, text))
			return true;
	return false;
}

/* RC_INVALID for a kind of name that no request of ours can hold. */
static rc
read_name(struct arena *a, const GENERAL_NAME *g, struct san *out)
{
	const ASN1_STRING *s = NULL;
	const uint8_t *p;
	size_t len;
	char ip[46];

	switch (g->type) {
	case GEN_DNS:
		out->type = SAN_DNS;
		s = g->d.dNSName;
		break;
	case GEN_IPADD:
		out->type = SAN_IP;
		s = g->d.iPAddress;
		break;
	case GEN_EMAIL:
		out->type = SAN_EMAIL;
		s = g->d.rfc822Name;
		break;
	case GEN_URI:
		out->type = SAN_URI;
		s = g->d.uniformResourceIdentifier;
		break;
	default:
		return RC_INVALID;
	}
	p = ASN1_STRING_get0_data(s);
	len = (size_t)ASN1_STRING_length(s);
	if (out->type == SAN_IP) {
		if (len != 4 && len != 16)
			return RC_INVALID;
		name_print_ip(p, len, ip);
		out->text = arena_strdup(a, ip);
		return RC_OK;
	}
	if (name_refuse_san(out->type, (const char *)p, len))
		return RC_INVALID;
	out->text = arena_strndup(a, (const char *)p, len);
	return RC_OK;
}

static rc
read_names(struct reading *r, const GENERAL_NAMES *names, struct san **out,
    size_t *out_n)
{
	int n = names ? sk_GENERAL_NAME_num(names) : 0;
	struct san *sans;

	if (n > CSR_NAMES_MAX)
		return refuse(r, "it has more than 101 alternative names");
	sans = arena_alloc(r->a, ((size_t)n + 1) * sizeof(*sans));
	for (int i = 0; i < n; i++) {
		rc ret =
		    read_name(r->a, sk_GENERAL_NAME_value(names, i), &sans[i]);

		if (ret != RC_OK)
			return refuse(r, "one of its alternative names is of a "
					 "kind or form that was not asked for");
	}
	*out = sans;
	*out_n = (size_t)n;
	return RC_OK;
}

/* What clients look at are the alternative names: a name of the request that
 * stands in the certificate's common name alone would be of no use. */
static rc
compare_names(struct reading *r, const struct san *sans, size_t n,
    const char *common_name)
{
	const struct csr *c = r->rules->csr;
	uint8_t addr[16];
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		if (!list_has(c->names, c->nnames, sans[i].type, sans[i].text))
			return refuse(r,
			    arena_printf(r->a,
				"it names %s, which was not asked for",
				sans[i].text));
	for (size_t i = 0; i < c->nnames; i++)
		if (!list_has(sans, n, c->names[i].type, c->names[i].text))
			return refuse(r,
			    arena_printf(r->a,
				"%s is not among its alternative names",
				c->names[i].text));
	if (common_name[0] == '\0' ||
	    list_has(sans, n, name_classify(common_name, addr, &len),
		common_name))
		return RC_OK;
	return refuse(r, "its common name is not the one that was asked for");
}

static rc
check_names(struct reading *r, X509 *x)
{
	GENERAL_NAMES *names;
	struct san *sans = NULL;
	size_t n = 0;
	int critical = -1;
	rc ret;

	/* -1: there is none; otherwise NULL means twice, or not readable. */
	names = X509_get_ext_d2i(x, NID_subject_alt_name, &critical, NULL);
	if (!names && critical != -1)
		return refuse(r, "its alternative names cannot be read");
	ret = read_names(r, names, &sans, &n);
	GENERAL_NAMES_free(names);
	if (ret != RC_OK)
		return ret;
	return compare_names(r, sans, n, r->out->info.common_name);
}

/* --- key and time --- */

static rc
check_key(struct reading *r, X509 *x)
{
	const struct span *want = &r->rules->csr->spki;
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	bool is_same = len > 0 && (size_t)len == want->len &&
		       memcmp(der, want->p, want->len) == 0;
	const uint8_t *p = want->p;
	EVP_PKEY *key;

	OPENSSL_free(der);
	if (is_same)
		return RC_OK;
	/* The same key may be written in other ways. */
	key = d2i_PUBKEY(NULL, &p, (long)want->len);
	is_same = key && cert_match_key(x, key) == RC_OK;
	EVP_PKEY_free(key);
	return is_same ? RC_OK
		       : refuse(r, "it is for another key than the request's");
}

static rc
check_time(struct reading *r)
{
	const struct cert_info *info = &r->out->info;
	int64_t now = r->rules->now_unix, max = r->rules->max_ttl_s;

	if (info->not_before_unix > now + CERTRESULT_SKEW_S)
		return refuse(r,
		    arena_printf(r->a, "it is not valid before %s",
			cert_time_text(r->a, info->not_before_unix)));
	if (info->not_after_unix <= now)
		return refuse(r,
		    arena_printf(r->a, "it expired at %s",
			cert_time_text(r->a, info->not_after_unix)));
	if (info->not_after_unix < now + CERTRESULT_LEFT_MIN_S)
		return refuse(r,
		    arena_printf(r->a, "it ends within a minute, at %s",
			cert_time_text(r->a, info->not_after_unix)));
	if (max > 0 && info->not_after_unix > now + max + CERTRESULT_SKEW_S)
		return refuse(r,
		    arena_printf(r->a,
			"it is valid until %s, longer than the profile's "
			"max_ttl_seconds (%lld) allows",
			cert_time_text(r->a, info->not_after_unix),
			(long long)max));
	return RC_OK;
}

static bool
is_zero(const char *hex)
{
	return hex[strspn(hex, "0")] == '\0';
}

static rc
check_leaf(struct reading *r, X509 *x)
{
	struct cert_info *info = &r->out->info;
	rc ret;

	ret = cert_read(r->a, x, info);
	if (ret != RC_OK || is_zero(info->serial_hex))
		return refuse(r, "its serial number, names or times cannot be "
				 "read");
	r->serial = arena_strdup(r->a, info->serial_hex);
	if (info->is_ca)
		return refuse(r, "it is a CA's certificate");
	ret = check_key(r, x);
	if (ret == RC_OK)
		ret = check_time(r);
	if (ret == RC_OK)
		ret = check_names(r, x);
	return ret;
}

/* --- the text --- */

/* RC_NOT_FOUND: no further one. */
static rc
next_certificate(struct reading *r, struct span *rest, X509 **out_x,
    char **out_pem)
{
	struct span der = {0};
	const uint8_t *p;
	X509 *x;
	rc ret;

	ret = pem_read(r->a, "CERTIFICATE", (const char *)rest->p, rest->len,
	    &der, rest);
	if (ret == RC_NOT_FOUND)
		return ret;
	if (ret != RC_OK)
		return refuse(r, "it is not PEM (CERTIFICATE)");
	p = der.p;
	x = d2i_X509(NULL, &p, (long)der.len);
	if (x && p == der.p + der.len) {
		*out_pem = pem_write(r->a, "CERTIFICATE", der);
		*out_x = x;
		return RC_OK;
	}
	X509_free(x);
	return refuse(r, "it holds something that is not an X.509 certificate");
}

static rc
read_chain(struct reading *r, struct span *rest)
{
	const char *chain = "";
	char *pem;
	X509 *x;
	rc ret;

	for (int n = 0;; n++) {
		ret = next_certificate(r, rest, &x, &pem);
		if (ret == RC_NOT_FOUND)
			break;
		if (ret != RC_OK)
			return ret;
		X509_free(x);
		if (n == CERTRESULT_CHAIN_MAX)
			return refuse(r, "its chain has more than 8 "
					 "certificates");
		chain = arena_printf(r->a, "%s%s", chain, pem);
	}
	r->out->chain_pem = chain;
	return RC_OK;
}

static rc
read_all(struct reading *r, const char *pem, size_t len)
{
	struct span rest = {(const uint8_t *)pem, len};
	char *leaf;
	X509 *x;
	rc ret;

	if (len > CERTRESULT_PEM_MAX)
		return refuse(r, "it is longer than 128 KiB");
	ret = next_certificate(r, &rest, &x, &leaf);
	if (ret == RC_NOT_FOUND)
		return refuse(r, "there is no certificate in it (PEM)");
	if (ret != RC_OK)
		return ret;
	ret = check_leaf(r, x);
	X509_free(x);
	r->out->leaf_pem = leaf;
	return ret == RC_OK ? read_chain(r, &rest) : ret;
}

rc
certresult_read(struct arena *a, const struct certresult_rules *rules,
    const char *pem, size_t len, struct certresult *out,
    const char **out_serial, const char **out_why)
{
	struct certresult result = {0};
	struct reading r = {
	    .a = a,
	    .rules = rules,
	    .out = &result,
	    .serial = "",
	};
	rc ret;

	ret = read_all(&r, pem, len);
	ERR_clear_error();
	*out_serial = r.serial;
	if (ret == RC_OK)
		*out = result;
	else
		*out_why = r.why;
	return ret;
}
