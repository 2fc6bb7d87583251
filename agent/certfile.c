#include "agent/certfile.h"

#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <openssl/pkcs7.h>
#include <string.h>
#include <strings.h>

#include "common/base/attr.h"
#include "common/pki/asn1/pem.h"

#define DER_SEQUENCE 0x30
#define TOO_MANY "it holds more than 1000 certificates"

struct reading {
	struct arena *a;
	certfile_fn *fn;
	void *arg;
	int n;
};

static const char *
extension_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot == NULL || dot == name ? "" : dot;
}

static bool
has_extension(const char *name, const char *const *list)
{
	const char *extension = extension_of(name);

	for (; *list; list++) {
		if (strcasecmp(extension, *list) == 0)
			return true;
	}
	return false;
}

bool
certfile_is_wanted(const char *name)
{
	static const char *const keys[] = {"", ".", ".key", NULL};

	return !has_extension(name, keys);
}

/* False: enough. */
static bool
tell(struct reading *r, const char *format, struct span der)
{
	if (r->n++ == CERTFILE_CERTS_MAX)
		return false;
	r->fn(r->arg, format, der);
	return true;
}

static bool
tell_x509(struct reading *r, const char *format, const X509 *x)
{
	unsigned char *der = NULL;
	int len = i2d_X509(x, &der);
	bool goes_on = true;

	if (len > 0)
		goes_on = tell(r, format, (struct span){der, (size_t)len});
	OPENSSL_free(der);
	return goes_on;
}

/* --- PEM --- */

#define BEGIN "-----BEGIN CERTIFICATE-----"

/* The next line BEGIN from p on; end: there is none. */
static const char *
find_begin(const char *start, const char *p, const char *end)
{
	const char *hit;

	for (;;) {
		hit = memmem(p, (size_t)(end - p), BEGIN, strlen(BEGIN));
		if (hit == NULL)
			return end;
		if (hit == start || hit[-1] == '\n' || hit[-1] == '\r')
			return hit;
		p = hit + strlen(BEGIN);
	}
}

/* Block by block, each up to the next one's begin: a broken one does not hide
 * those behind it. */
static const char *
read_pem(struct reading *r, struct span bytes)
{
	const char *start = (const char *)bytes.p, *end = start + bytes.len;
	const char *why = NULL, *at, *next;
	struct span der;
	rc ret;

	/* The mark that some editors write. */
	if (bytes.len >= 3 && memcmp(start, "\xef\xbb\xbf", 3) == 0)
		start += 3;
	for (at = find_begin(start, start, end); at < end; at = next) {
		next = find_begin(start, at + strlen(BEGIN), end);
		ret = pem_read(r->a, "CERTIFICATE", at, (size_t)(next - at),
		    &der, NULL);
		if (ret != RC_OK)
			why = "a certificate in it is cut off or no base64";
		else if (!tell(r, "PEM", der))
			return TOO_MANY;
	}
	return why;
}

/* --- PKCS#7 --- */

static const char *
read_pkcs7(struct reading *r, struct span bytes)
{
	const char *why = "it is no PKCS#7 file of certificates";
	STACK_OF(X509) *all = NULL;
	const uint8_t *p;
	PKCS7 *p7;
	rc ret = RC_OK;

	if (bytes.p[0] != DER_SEQUENCE)
		ret = pem_read(r->a, "PKCS7", (const char *)bytes.p, bytes.len,
		    &bytes, NULL);
	if (ret != RC_OK)
		return why;
	p = bytes.p;
	p7 = d2i_PKCS7(NULL, &p, (long)bytes.len);
	if (p7 && PKCS7_type_is_signed(p7) && p7->d.sign) {
		all = p7->d.sign->cert; /* may be NULL: none */
		why = NULL;
	}
	for (int i = 0; i < sk_X509_num(all); i++) {
		if (!tell_x509(r, "PKCS7", sk_X509_value(all, i))) {
			why = TOO_MANY;
			break;
		}
	}
	PKCS7_free(p7);
	return why;
}

/* --- PKCS#12 --- */

static bool
is_cheap(const ASN1_INTEGER *iterations)
{
	int64_t n = 1;

	return iterations == NULL ||
	       (ASN1_INTEGER_get_int64(&n, iterations) == 1 && n >= 0 &&
		   n <= CERTFILE_ITERATIONS_MAX);
}

static bool
mac_is_cheap(const PKCS12 *file)
{
	const ASN1_INTEGER *iterations = NULL;

	PKCS12_get0_mac(NULL, NULL, NULL, &iterations, file);
	return is_cheap(iterations);
}

static bool
pbes2_is_cheap(const ASN1_TYPE *parameter)
{
	PBE2PARAM *p =
	    ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBE2PARAM), parameter);
	PBKDF2PARAM *kdf = NULL;
	bool cheap;

	/* Others, as scrypt, also say how much memory they take. */
	if (p && OBJ_obj2nid(p->keyfunc->algorithm) == NID_id_pbkdf2)
		kdf = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBKDF2PARAM),
		    p->keyfunc->parameter);
	cheap = kdf != NULL && is_cheap(kdf->iter);
	PBKDF2PARAM_free(kdf);
	PBE2PARAM_free(p);
	return cheap;
}

static bool
cipher_is_cheap(const PKCS7 *safe)
{
	const X509_ALGOR *algorithm;
	PBEPARAM *p;
	bool cheap;

	if (!safe->d.encrypted || !safe->d.encrypted->enc_data)
		return false;
	algorithm = safe->d.encrypted->enc_data->algorithm;
	if (OBJ_obj2nid(algorithm->algorithm) == NID_pbes2)
		return pbes2_is_cheap(algorithm->parameter);
	p = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBEPARAM),
	    algorithm->parameter);
	cheap = p != NULL && is_cheap(p->iter);
	PBEPARAM_free(p);
	return cheap;
}

static const char *
read_bags(struct reading *r, const STACK_OF(PKCS12_SAFEBAG) * bags)
{
	const char *why = NULL;

	for (int i = 0; i < sk_PKCS12_SAFEBAG_num(bags) && !why; i++) {
		const PKCS12_SAFEBAG *bag = sk_PKCS12_SAFEBAG_value(bags, i);
		X509 *x;

		if (PKCS12_SAFEBAG_get_nid(bag) != NID_certBag ||
		    PKCS12_SAFEBAG_get_bag_nid(bag) != NID_x509Certificate)
			continue;
		x = PKCS12_SAFEBAG_get1_cert(bag);
		if (x == NULL)
			why = "a certificate in it cannot be read";
		else if (!tell_x509(r, "PKCS12", x))
			why = TOO_MANY;
		X509_free(x);
	}
	return why;
}

/* One of the safes of a file, each of which may have a cipher of its own. */
static const char *
read_safe(struct reading *r, PKCS7 *safe, const char *password)
{
	STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
	const char *why;

	if (PKCS7_type_is_data(safe)) {
		bags = PKCS12_unpack_p7data(safe);
	} else if (PKCS7_type_is_encrypted(safe)) {
		if (!cipher_is_cheap(safe))
			return "its cipher is unknown, or takes too long";
		bags = PKCS12_unpack_p7encdata(safe, password, 0);
	} else {
		return NULL; /* to somebody's key */
	}
	if (bags == NULL)
		return "a part of it needs a password, or its cipher is "
		       "unknown";
	why = read_bags(r, bags);
	sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
	return why;
}

static const char *
read_safes(struct reading *r, PKCS12 *file, const char *password)
{
	STACK_OF(PKCS7) *safes = PKCS12_unpack_authsafes(file);
	const char *why = NULL;

	if (safes == NULL)
		return "it is no PKCS#12 file";
	for (int i = 0; i < sk_PKCS7_num(safes) && !why; i++)
		why = read_safe(r, sk_PKCS7_value(safes, i), password);
	sk_PKCS7_pop_free(safes, PKCS7_free);
	return why;
}

static const char *
read_pkcs12(struct reading *r, struct span bytes)
{
	const uint8_t *p = bytes.p;
	PKCS12 *file = d2i_PKCS12(NULL, &p, (long)bytes.len);
	const char *why;

	/* An empty password has two ways to be written. */
	if (file == NULL)
		why = "it is no PKCS#12 file";
	else if (PKCS12_mac_present(file) && !mac_is_cheap(file))
		why = "its password takes too long to check";
	else if (!PKCS12_mac_present(file) ||
		 PKCS12_verify_mac(file, "", 0) == 1)
		why = read_safes(r, file, "");
	else if (PKCS12_verify_mac(file, NULL, 0) == 1)
		why = read_safes(r, file, NULL);
	else
		why = "it needs a password";
	PKCS12_free(file);
	return why;
}

const char *
certfile_read(struct arena *a, const char *name, struct span bytes,
    certfile_fn *fn, void *arg)
{
	static const char *const either[] = {".pem", ".crt", ".cer", ".cert",
	    ".der", NULL};
	static const char *const pkcs7[] = {".p7b", ".p7c", NULL};
	static const char *const pkcs12[] = {".p12", ".pfx", NULL};
	struct reading r = {.a = a, .fn = fn, .arg = arg};
	const char *why = NULL;

	if (bytes.len == 0)
		return NULL;
	if (has_extension(name, pkcs12))
		why = read_pkcs12(&r, bytes);
	else if (has_extension(name, pkcs7))
		why = read_pkcs7(&r, bytes);
	else if (has_extension(name, either) && bytes.p[0] == DER_SEQUENCE)
		(void)tell(&r, "DER", bytes);
	else
		why = read_pem(&r, bytes);
	ERR_clear_error();
	return why;
}
