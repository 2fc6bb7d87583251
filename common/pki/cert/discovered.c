#include "common/pki/cert/discovered.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/base/plain.h"
#include "common/pki/asn1/name.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/cert/cert.h"
#include "common/pki/key/key.h"

/* The years 1 to 9999, which RFC 3339 can tell; Unix seconds. */
#define TIME_FIRST (-62135596800)
#define TIME_LAST 253402300799

const char *
discovered_text(struct arena *a, const char *text, size_t len, size_t max)
{
	char *line;

	if (len > max) {
		len = max;
		/* Not inside a character, which has four bytes at most. */
		while (len > 0 && max - len < 3 &&
		       ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	}
	line = arena_alloc(a, len + 1);
	for (size_t i = 0; i < len; i++) /* white space, and NUL */
		line[i] = (unsigned char)text[i] < ' ' ? '?' : text[i];
	plain_clean(line);
	return line;
}

/* --- names --- */

static const char *
read_string(struct arena *a, const ASN1_STRING *s)
{
	unsigned char *utf8 = NULL;
	int len = ASN1_STRING_to_UTF8(&utf8, s);
	const char *text = "";

	if (len >= 0)
		text = discovered_text(a, (const char *)utf8, (size_t)len,
		    DISCOVERED_TEXT_MAX);
	OPENSSL_free(utf8);
	return text;
}

/* The last one, which is the most specific. */
static const char *
read_common_name(struct arena *a, const X509_NAME *name)
{
	int at = -1, next;

	for (;;) {
		next = X509_NAME_get_index_by_NID(name, NID_commonName, at);
		if (next < 0)
			break;
		at = next;
	}
	if (at < 0)
		return "";
	return read_string(a,
	    X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
}

/* RFC 2253, but letters beyond ASCII stay letters. */
static const char *
read_dn(struct arena *a, const X509_NAME *name)
{
	unsigned long flags = XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB;
	BIO *bio = BIO_new(BIO_s_mem());
	const char *dn = "";
	char *text;
	long len;

	if (!bio)
		return "";
	if (X509_NAME_print_ex(bio, name, 0, flags) >= 0) {
		len = BIO_get_mem_data(bio, &text);
		dn = discovered_text(a, text, (size_t)len, DISCOVERED_TEXT_MAX);
	}
	BIO_free(bio);
	return dn;
}

/* NULL for a kind of name that is not shown. */
static const char *
read_san(struct arena *a, const GENERAL_NAME *name)
{
	char address[46];
	int len;

	switch (name->type) {
	case GEN_DNS:
	case GEN_EMAIL:
	case GEN_URI:
		return discovered_text(a,
		    (const char *)ASN1_STRING_get0_data(name->d.ia5),
		    (size_t)ASN1_STRING_length(name->d.ia5),
		    DISCOVERED_TEXT_MAX);
	case GEN_IPADD:
		len = ASN1_STRING_length(name->d.iPAddress);
		if (len != 4 && len != 16)
			return NULL;
		name_print_ip(ASN1_STRING_get0_data(name->d.iPAddress),
		    (size_t)len, address);
		return arena_strdup(a, address);
	default:
		return NULL;
	}
}

static void
read_sans(struct arena *a, const X509 *x, struct discovered *out)
{
	GENERAL_NAMES *names =
	    X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	int n = sk_GENERAL_NAME_num(names); /* -1 for NULL */
	const char **sans;

	if (n > DISCOVERED_SANS_MAX)
		n = DISCOVERED_SANS_MAX;
	if (n > 0) {
		sans = arena_alloc(a, (size_t)n * sizeof(sans[0]));
		for (int i = 0; i < n; i++) {
			const char *san =
			    read_san(a, sk_GENERAL_NAME_value(names, i));

			if (san != NULL && *san != '\0')
				sans[out->nsans++] = san;
		}
		out->sans = sans;
	}
	GENERAL_NAMES_free(names);
}

/* --- the rest --- */

static const char *
read_serial(struct arena *a, const X509 *x)
{
	BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
	char *hex = n ? BN_bn2hex(n) : NULL;
	const char *serial = "";
	bool is_negative;
	char *digits;

	if (hex && strlen(hex) <= DISCOVERED_SERIAL_MAX) {
		is_negative = hex[0] == '-';
		digits = hex + is_negative;
		digits += strspn(digits, "0");
		for (char *p = digits; *p; p++)
			*p |= 0x20; /* digits have the bit, letters get it */
		serial = arena_printf(a, "%s%s", is_negative ? "-" : "",
		    *digits ? digits : "0");
	}
	OPENSSL_free(hex);
	BN_free(n);
	return serial;
}

static const char *
read_time(struct arena *a, const ASN1_TIME *t)
{
	char text[32];
	int64_t at;

	if (cert_time(t, &at) != RC_OK || at < TIME_FIRST || at > TIME_LAST)
		return "";
	clock_format_rfc3339(at * 1000000, text);
	return arena_strdup(a, text);
}

static void
read_key(const X509 *x, struct discovered *out)
{
	EVP_PKEY *key = X509_get0_pubkey(x);
	const char *name;

	out->key_algorithm = "";
	if (!key)
		return;
	out->key_algorithm = key_algorithm(key, &out->key_size);
	name = EVP_PKEY_get0_type_name(key);
	if (*out->key_algorithm || !name)
		return;
	out->key_algorithm = name;
	out->key_size = EVP_PKEY_get_bits(key);
}

static void
read_all(struct arena *a, X509 *x, struct discovered *out)
{
	out->serial_number = read_serial(a, x);
	out->common_name = read_common_name(a, X509_get_subject_name(x));
	out->issuer_dn = read_dn(a, X509_get_issuer_name(x));
	out->subject_dn = read_dn(a, X509_get_subject_name(x));
	read_sans(a, x, out);
	out->not_before = read_time(a, X509_get0_notBefore(x));
	out->not_after = read_time(a, X509_get0_notAfter(x));
	read_key(x, out);
	out->is_ca = (X509_get_extension_flags(x) & EXFLAG_CA) != 0;
}

rc
discovered_read(struct arena *a, struct span der, struct discovered *out)
{
	struct discovered d = {.nsans = 0};
	const uint8_t *p = der.p;
	X509 *x;

	if (der.len < 1 || der.len > DISCOVERED_DER_MAX)
		return RC_INVALID;
	x = d2i_X509(NULL, &p, (long)der.len);
	if (x && p == der.p + der.len) {
		read_all(a, x, &d);
		enc_sha256_hex(der.p, der.len, d.fingerprint_sha256);
		d.pem = pem_write(a, "CERTIFICATE", der);
		*out = d;
	}
	X509_free(x);
	ERR_clear_error();
	return d.pem ? RC_OK : RC_INVALID;
}

void
discovered_put(struct json_w *w, const struct discovered *d, const char *path,
    const char *format, bool with_pem)
{
	json_w_open(w, '{');
	json_w_kv(w, "fingerprint_sha256", d->fingerprint_sha256);
	json_w_kv(w, "common_name", d->common_name);
	json_w_key(w, "sans");
	json_w_open(w, '[');
	for (size_t i = 0; i < d->nsans; i++)
		json_w_str(w, d->sans[i]);
	json_w_close(w, ']');
	json_w_kv(w, "serial_number", d->serial_number);
	json_w_kv(w, "issuer_dn", d->issuer_dn);
	json_w_kv(w, "subject_dn", d->subject_dn);
	json_w_kv_opt(w, "not_before", d->not_before);
	json_w_kv_opt(w, "not_after", d->not_after);
	json_w_kv(w, "key_algorithm", d->key_algorithm);
	json_w_kv_int(w, "key_size", d->key_size);
	json_w_kv_bool(w, "is_ca", d->is_ca);
	json_w_kv(w, "pem_data", with_pem ? d->pem : "");
	json_w_kv(w, "source_path", path);
	json_w_kv(w, "source_format", format);
	json_w_close(w, '}');
}
