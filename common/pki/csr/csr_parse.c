/*
 * The reader of PKCS#10 requests.  Foreign bytes: whatever is not exactly
 * what RFC 2986 and X.690 say is refused, and the fuzzer holds this reader
 * against OpenSSL's, which must accept all that passes here.
 */
#include "common/pki/csr/csr_int.h"

#include <string.h>

#include "common/pki/asn1/der.h"
#include "common/pki/asn1/name.h"
#include "common/pki/asn1/oid.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/key/alg.h"

/* Anything above is no subject a person wrote. */
#define SUBJECT_ATTRS_MAX 32

static void
read_common_name(struct csr_reading *r, struct span text)
{
	const char *why;

	if (r->c->common_name) {
		csr_refuse(r, "the subject has more than one common name");
		return;
	}
	why = name_refuse_common_name((const char *)text.p, text.len);
	if (why) {
		csr_refuse(r, why);
		return;
	}
	r->c->common_name = arena_strndup(r->a, (const char *)text.p, text.len);
}

/* AttributeTypeAndValue.  Only the string types that RFC 5280 wants or that
 * are ASCII: the others have no single meaning as text. */
static void
read_subject_attr(struct csr_reading *r, struct der *set)
{
	struct der attr = der_enter(set, DER_SEQUENCE);
	struct span type = der_take(&attr, DER_OID);
	uint8_t tag = der_peek(&attr);
	struct span text = der_take(&attr, DER_ANY);
	const char *why;

	der_end(&attr);
	if (!der_value_ok(DER_OID, type))
		r->bad = true;
	if (!csr_going(r))
		return;
	if (tag != DER_UTF8 && tag != DER_PRINTABLE && tag != DER_IA5 &&
	    tag != DER_NUMERIC) {
		csr_refuse(r,
		    "the subject has a string of an unsupported type");
		return;
	}
	for (size_t i = 0; tag != DER_UTF8 && i < text.len; i++) {
		if (text.p[i] >= 0x80) {
			csr_refuse(r, "a name is not valid ASCII");
			return;
		}
	}
	why = name_refuse_text((const char *)text.p, text.len);
	if (why)
		csr_refuse(r, why);
	else if (span_equal(type, oid_common_name))
		read_common_name(r, text);
}

static void
read_subject(struct csr_reading *r, struct der *info)
{
	struct der name, rdn;
	bool bad = false;
	int attrs = 0;

	r->c->subject = der_take_whole(info, DER_SEQUENCE);
	if (!csr_going(r))
		return;
	der_init(&name, r->c->subject, &r->bad);
	name = der_enter(&name, DER_SEQUENCE);
	while (der_more(&name)) {
		rdn = der_enter(&name, DER_SET);
		bad = !der_more(&rdn); /* a set of at least one */
		while (der_more(&rdn) && !r->why) {
			read_subject_attr(r, &rdn);
			if (++attrs > SUBJECT_ATTRS_MAX)
				csr_refuse(r, "the subject has too many parts");
		}
		if (bad || r->why)
			break;
	}
	r->bad = r->bad || bad;
}

static int
bits_of(struct span n)
{
	int bits = (int)n.len * 8;

	for (unsigned top = 0x80; top && !(n.p[0] & top); top >>= 1)
		bits--;
	return bits;
}

/* A positive INTEGER without its sign octet. */
static struct span
positive(struct csr_reading *r, struct span s)
{
	if (!der_value_ok(DER_INTEGER, s) || s.p[0] >= 0x80) {
		r->bad = true;
		return (struct span){s.p, 0};
	}
	if (s.p[0] == 0 && s.len > 1)
		return (struct span){s.p + 1, s.len - 1};
	return s;
}

static void
read_rsa_key(struct csr_reading *r, struct span bits)
{
	struct der top, pair;
	struct span n, e;

	der_init(&top, bits, &r->bad);
	pair = der_enter(&top, DER_SEQUENCE);
	der_end(&top);
	n = positive(r, der_take(&pair, DER_INTEGER));
	e = positive(r, der_take(&pair, DER_INTEGER));
	der_end(&pair);
	if (!csr_going(r))
		return;
	r->c->key_size = bits_of(n);
	if (r->c->key_size < ALG_RSA_BITS_MIN)
		csr_refuse(r, "the RSA key has fewer than 2048 bits");
	else if (r->c->key_size > ALG_RSA_BITS_MAX)
		csr_refuse(r, "the RSA key has more than 8192 bits");
	else if ((n.p[n.len - 1] & 1) == 0 || (e.p[e.len - 1] & 1) == 0 ||
		 (e.len == 1 && e.p[0] < 3) || e.len > 8)
		csr_refuse(r, "the RSA key is not a valid key");
}

/* With the parameters that RFC 4055 section 1.2 wants of a certificate's key:
 * verifiers refuse it without them. */
static struct span
rewrite_key(struct arena *a, struct span alg, struct span bits)
{
	size_t room = alg.len + bits.len + 16;
	struct der_out w;
	uint8_t *mark;

	der_out_init(&w, arena_alloc(a, room), room);
	mark = der_mark(&w);
	der_put_span(&w, bits);
	der_put_byte(&w, 0); /* unused bits */
	der_put_head(&w, DER_BIT_STRING, mark);
	der_put_span(&w, alg);
	der_put_head(&w, DER_SEQUENCE, mark);
	return der_out_span(&w);
}

static void
read_key(struct csr_reading *r, struct der *info)
{
	const struct alg_key *alg;
	struct span id, bits;
	struct der spki;

	r->c->spki = der_take_whole(info, DER_SEQUENCE);
	r->c->leaf_spki = r->c->spki;
	der_init(&spki, r->c->spki, &r->bad);
	spki = der_enter(&spki, DER_SEQUENCE);
	id = der_take_whole(&spki, DER_SEQUENCE);
	bits = der_take_bits(&spki);
	der_end(&spki);
	if (!csr_going(r))
		return;
	alg = alg_key_find(id);
	if (!alg) {
		csr_refuse(r, "the key is of an unsupported type: use ECDSA "
			      "P-256, P-384 or P-521, RSA or Ed25519");
		return;
	}
	if (!span_equal(alg->der, id))
		r->c->leaf_spki = rewrite_key(r->a, alg->der, bits);
	r->c->key_algorithm = alg->name;
	r->c->key_size = alg->size;
	if (alg->bytes == 0)
		read_rsa_key(r, bits);
	else if (bits.len != alg->bytes || (alg->size && bits.p[0] != 0x04))
		csr_refuse(r, "the public key is not an uncompressed point");
}

/* The other attributes carry nothing that goes into a certificate; they are
 * checked for their form only. */
static void
read_attribute(struct csr_reading *r, struct der *attrs, int *nrequests)
{
	struct der attr = der_enter(attrs, DER_SEQUENCE), set, exts;
	struct span type = der_take(&attr, DER_OID);

	set = der_enter(&attr, DER_SET);
	der_end(&attr);
	if (!der_value_ok(DER_OID, type) || !der_more(&set))
		r->bad = true;
	if (!csr_going(r))
		return;
	if (!span_equal(type, oid_extension_request)) {
		while (der_more(&set)) {
			uint8_t tag = der_peek(&set);
			struct span value = der_take(&set, DER_ANY);

			if (!der_value_ok(tag, value))
				r->bad = true;
		}
		return;
	}
	if (++*nrequests > 1) {
		csr_refuse(r, "the request has two extension requests");
		return;
	}
	exts = der_enter(&set, DER_SEQUENCE);
	der_end(&set);
	csr_read_extensions(r, &exts);
}

static void
read_info(struct csr_reading *r)
{
	struct der top, info, attrs;
	struct span version;
	int nrequests = 0;

	der_init(&top, r->c->tbs, &r->bad);
	info = der_enter(&top, DER_SEQUENCE);
	version = der_take(&info, DER_INTEGER);
	if (csr_going(r) && (version.len != 1 || version.p[0] != 0))
		csr_refuse(r, "the request is not of version 1");
	read_subject(r, &info);
	read_key(r, &info);
	/* RFC 2986 wants the attributes even when empty; some leave them. */
	if (der_more(&info)) {
		attrs = der_enter(&info, DER_CONTEXT_CONS | 0);
		while (der_more(&attrs) && !r->why)
			read_attribute(r, &attrs, &nrequests);
	}
	der_end(&info);
}

static void
read_request(struct csr_reading *r)
{
	struct csr *c = r->c;
	const struct alg_sig *alg;
	struct der top, request;

	der_init(&top, c->der, &r->bad);
	request = der_enter(&top, DER_SEQUENCE);
	der_end(&top);
	c->tbs = der_take_whole(&request, DER_SEQUENCE);
	c->sig_alg = der_take_whole(&request, DER_SEQUENCE);
	c->sig = der_take_bits(&request);
	der_end(&request);
	if (csr_going(r))
		read_info(r);
	if (!csr_going(r))
		return;
	alg = alg_sig_find(c->sig_alg);
	if (!alg || strcmp(alg->key, c->key_algorithm) != 0)
		csr_refuse(r, "the request's signature is of an unsupported "
			      "type: use SHA-256, SHA-384 or SHA-512");
	else
		csr_settle_names(r);
}

static bool
is_space(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!strchr(" \t\r\n", s.p[i]) || s.p[i] == '\0')
			return false;
	}
	return true;
}

/* The block alone: text beside it may be anything, a private key also, and
 * would be stored and shown with the request. */
static const char *
unwrap(struct csr_reading *r, const char *pem, size_t len)
{
	struct span before = {0}, rest = {0};
	rc ret;

	ret = pem_find(r->a, "CERTIFICATE REQUEST", pem, len, &r->c->der,
	    &before, &rest);
	if (ret == RC_NOT_FOUND)
		ret = pem_find(r->a, "NEW CERTIFICATE REQUEST", pem, len,
		    &r->c->der, &before, &rest);
	if (ret != RC_OK)
		return "the request is not PEM (CERTIFICATE REQUEST)";
	if (!is_space(before))
		return "other text stands in front of the request: send the "
		       "CERTIFICATE REQUEST block alone, and never a private "
		       "key";
	return is_space(rest) ? NULL
			      : "the request is followed by other text: send "
				"the CERTIFICATE REQUEST block alone";
}

rc
csr_parse(struct arena *a, const char *pem, size_t len, struct csr *out,
    const char **out_why)
{
	struct csr c = {0};
	struct csr_reading r = {.a = a, .c = &c};

	if (len > CSR_PEM_MAX) {
		*out_why = "the request is longer than 49152 bytes";
		return RC_INVALID;
	}
	r.why = unwrap(&r, pem, len);
	if (!r.why)
		read_request(&r);
	if (r.bad || r.why) {
		*out_why = r.bad ? "the request is not a DER-encoded PKCS#10 "
				   "request"
				 : r.why;
		return RC_INVALID;
	}

	*out = c;
	return RC_OK;
}
