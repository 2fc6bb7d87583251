/*
 * The reader of PKCS#10 requests.  Foreign bytes: whatever is not exactly
 * what RFC 2986 and X.690 say is refused, and the fuzzer holds this reader
 * against OpenSSL's, which must accept all that passes here.
 */
#include "common/pki/csr/csr.h"

#include <string.h>

#include "common/pki/key/alg.h"
#include "common/pki/asn1/der.h"
#include "common/pki/asn1/name.h"
#include "common/pki/asn1/oid.h"
#include "common/pki/asn1/pem.h"

/* Anything above is no subject a person wrote. */
#define SUBJECT_ATTRS_MAX 32

struct parse {
	struct arena *a;
	struct csr *c;
	bool bad;        /* the cursors' flag: not strict DER */
	const char *why; /* the first other reason */
};

static void
refuse(struct parse *ps, const char *why)
{
	if (!ps->why)
		ps->why = why;
}

static bool
going(const struct parse *ps)
{
	return !ps->bad && !ps->why;
}

static void
read_common_name(struct parse *ps, struct span text)
{
	const char *why;

	if (ps->c->common_name) {
		refuse(ps, "the subject has more than one common name");
		return;
	}
	why = name_refuse_common_name((const char *)text.p, text.len);
	if (why) {
		refuse(ps, why);
		return;
	}
	ps->c->common_name =
	    arena_strndup(ps->a, (const char *)text.p, text.len);
}

/* AttributeTypeAndValue.  Only the string types that RFC 5280 wants or that
 * are ASCII: the others have no single meaning as text. */
static void
read_subject_attr(struct parse *ps, struct der *set)
{
	struct der attr = der_enter(set, DER_SEQUENCE);
	struct span type = der_take(&attr, DER_OID);
	uint8_t tag = der_peek(&attr);
	struct span text = der_take(&attr, DER_ANY);
	const char *why;

	der_end(&attr);
	if (!der_value_ok(DER_OID, type))
		ps->bad = true;
	if (!going(ps))
		return;
	if (tag != DER_UTF8 && tag != DER_PRINTABLE && tag != DER_IA5 &&
	    tag != DER_NUMERIC) {
		refuse(ps, "the subject has a string of an unsupported type");
		return;
	}
	for (size_t i = 0; tag != DER_UTF8 && i < text.len; i++) {
		if (text.p[i] >= 0x80) {
			refuse(ps, "a name is not valid ASCII");
			return;
		}
	}
	why = name_refuse_text((const char *)text.p, text.len);
	if (why)
		refuse(ps, why);
	else if (span_equal(type, oid_common_name))
		read_common_name(ps, text);
}

static void
read_subject(struct parse *ps, struct der *info)
{
	struct der name, rdn;
	bool bad = false;
	int attrs = 0;

	ps->c->subject = der_take_whole(info, DER_SEQUENCE);
	if (!going(ps))
		return;
	der_init(&name, ps->c->subject, &ps->bad);
	name = der_enter(&name, DER_SEQUENCE);
	while (der_more(&name)) {
		rdn = der_enter(&name, DER_SET);
		bad = !der_more(&rdn); /* a set of at least one */
		while (der_more(&rdn) && !ps->why) {
			read_subject_attr(ps, &rdn);
			if (++attrs > SUBJECT_ATTRS_MAX)
				refuse(ps, "the subject has too many parts");
		}
		if (bad || ps->why)
			break;
	}
	ps->bad = ps->bad || bad;
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
positive(struct parse *ps, struct span s)
{
	if (!der_value_ok(DER_INTEGER, s) || s.p[0] >= 0x80) {
		ps->bad = true;
		return (struct span){s.p, 0};
	}
	if (s.p[0] == 0 && s.len > 1)
		return (struct span){s.p + 1, s.len - 1};
	return s;
}

static void
read_rsa_key(struct parse *ps, struct span bits)
{
	struct der top, pair;
	struct span n, e;

	der_init(&top, bits, &ps->bad);
	pair = der_enter(&top, DER_SEQUENCE);
	der_end(&top);
	n = positive(ps, der_take(&pair, DER_INTEGER));
	e = positive(ps, der_take(&pair, DER_INTEGER));
	der_end(&pair);
	if (!going(ps))
		return;
	ps->c->key_size = bits_of(n);
	if (ps->c->key_size < ALG_RSA_BITS_MIN)
		refuse(ps, "the RSA key has fewer than 2048 bits");
	else if (ps->c->key_size > ALG_RSA_BITS_MAX)
		refuse(ps, "the RSA key has more than 8192 bits");
	else if ((n.p[n.len - 1] & 1) == 0 || (e.p[e.len - 1] & 1) == 0 ||
		 (e.len == 1 && e.p[0] < 3) || e.len > 8)
		refuse(ps, "the RSA key is not a valid key");
}

static void
read_key(struct parse *ps, struct der *info)
{
	const struct alg_key *alg;
	struct span id, bits;
	struct der spki;

	ps->c->spki = der_take_whole(info, DER_SEQUENCE);
	der_init(&spki, ps->c->spki, &ps->bad);
	spki = der_enter(&spki, DER_SEQUENCE);
	id = der_take_whole(&spki, DER_SEQUENCE);
	bits = der_take_bits(&spki);
	der_end(&spki);
	if (!going(ps))
		return;
	alg = alg_key_find(id);
	if (!alg) {
		refuse(ps, "the key is of an unsupported type: use ECDSA "
			   "P-256, P-384 or P-521, RSA or Ed25519");
		return;
	}
	ps->c->key_algorithm = alg->name;
	ps->c->key_size = alg->size;
	if (alg->bytes == 0)
		read_rsa_key(ps, bits);
	else if (bits.len != alg->bytes || (alg->size && bits.p[0] != 0x04))
		refuse(ps, "the public key is not an uncompressed point");
}

static const char *
copy_lower(struct arena *a, struct span text)
{
	char *s = arena_strndup(a, (const char *)text.p, text.len);

	for (char *p = s; *p; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	}
	return s;
}

static void
read_san(struct parse *ps, uint8_t tag, struct span value, struct san *out)
{
	const char *why;
	char ip[46];

	switch (tag) {
	case DER_CONTEXT | 1:
		out->type = SAN_EMAIL;
		break;
	case DER_CONTEXT | 2:
		out->type = SAN_DNS;
		break;
	case DER_CONTEXT | 6:
		out->type = SAN_URI;
		break;
	case DER_CONTEXT | 7:
		if (value.len != 4 && value.len != 16) {
			refuse(ps, "an IP name has not 4 or 16 octets");
			return;
		}
		name_print_ip(value.p, value.len, ip);
		out->type = SAN_IP;
		out->text = arena_strdup(ps->a, ip);
		return;
	default:
		refuse(ps, "an alternative name has an unsupported type");
		return;
	}
	why = name_refuse_san(out->type, (const char *)value.p, value.len);
	if (why)
		refuse(ps, why);
	else if (out->type == SAN_DNS)
		out->text = copy_lower(ps->a, value);
	else
		out->text =
		    arena_strndup(ps->a, (const char *)value.p, value.len);
}

/* The value of the extension: SEQUENCE OF GeneralName. */
static void
read_sans(struct parse *ps, struct span value)
{
	struct der top, names;
	struct san *sans;
	size_t n = 0;

	if (ps->c->san.len > 0) {
		refuse(ps, "the request has two subjectAltName extensions");
		return;
	}
	der_init(&top, value, &ps->bad);
	names = der_enter(&top, DER_SEQUENCE);
	der_end(&top);
	for (struct der count = names; der_more(&count); n++)
		(void)der_take(&count, DER_ANY); /* bad is seen below */
	if (!going(ps))
		return;
	if (n < 1) {
		refuse(ps, "the subjectAltName extension is empty");
		return;
	}
	if (n > CSR_NAMES_MAX) {
		refuse(ps, "the request has more than 100 names");
		return;
	}
	sans = arena_alloc(ps->a, n * sizeof(*sans));
	for (size_t i = 0; i < n && going(ps); i++) {
		uint8_t tag = der_peek(&names);

		read_san(ps, tag, der_take(&names, DER_ANY), &sans[i]);
	}
	ps->c->san = value;
	ps->c->sans = sans;
	ps->c->nsans = n;
}

static void
read_extension(struct parse *ps, struct der *exts)
{
	struct der ext = der_enter(exts, DER_SEQUENCE);
	struct span type = der_take(&ext, DER_OID), value;

	if (der_peek(&ext) == DER_BOOLEAN) {
		struct span critical = der_take(&ext, DER_BOOLEAN);

		if (!der_value_ok(DER_BOOLEAN, critical))
			ps->bad = true;
	}
	value = der_take(&ext, DER_OCTET_STRING);
	der_end(&ext);
	if (!der_value_ok(DER_OID, type))
		ps->bad = true;
	if (going(ps) && span_equal(type, oid_san))
		read_sans(ps, value);
}

/* The other attributes carry nothing that goes into a certificate; they are
 * checked for their form only. */
static void
read_attribute(struct parse *ps, struct der *attrs, int *nrequests)
{
	struct der attr = der_enter(attrs, DER_SEQUENCE), set, exts;
	struct span type = der_take(&attr, DER_OID);

	set = der_enter(&attr, DER_SET);
	der_end(&attr);
	if (!der_value_ok(DER_OID, type) || !der_more(&set))
		ps->bad = true;
	if (!going(ps))
		return;
	if (!span_equal(type, oid_extension_request)) {
		while (der_more(&set)) {
			uint8_t tag = der_peek(&set);
			struct span value = der_take(&set, DER_ANY);

			if (!der_value_ok(tag, value))
				ps->bad = true;
		}
		return;
	}
	if (++*nrequests > 1) {
		refuse(ps, "the request has two extension requests");
		return;
	}
	exts = der_enter(&set, DER_SEQUENCE);
	der_end(&set);
	while (der_more(&exts) && !ps->why)
		read_extension(ps, &exts);
}

static void
read_info(struct parse *ps)
{
	struct der top, info, attrs;
	struct span version;
	int nrequests = 0;

	der_init(&top, ps->c->tbs, &ps->bad);
	info = der_enter(&top, DER_SEQUENCE);
	version = der_take(&info, DER_INTEGER);
	if (going(ps) && (version.len != 1 || version.p[0] != 0))
		refuse(ps, "the request is not of version 1");
	read_subject(ps, &info);
	read_key(ps, &info);
	/* RFC 2986 wants the attributes even when empty; some leave them. */
	if (der_more(&info)) {
		attrs = der_enter(&info, DER_CONTEXT_CONS | 0);
		while (der_more(&attrs) && !ps->why)
			read_attribute(ps, &attrs, &nrequests);
	}
	der_end(&info);
}

static void
read_request(struct parse *ps)
{
	struct csr *c = ps->c;
	const struct alg_sig *alg;
	struct der top, request;

	der_init(&top, c->der, &ps->bad);
	request = der_enter(&top, DER_SEQUENCE);
	der_end(&top);
	c->tbs = der_take_whole(&request, DER_SEQUENCE);
	c->sig_alg = der_take_whole(&request, DER_SEQUENCE);
	c->sig = der_take_bits(&request);
	der_end(&request);
	if (going(ps))
		read_info(ps);
	if (!going(ps))
		return;
	alg = alg_sig_find(c->sig_alg);
	if (!alg || strcmp(alg->key, c->key_algorithm) != 0)
		refuse(ps, "the request's signature is of an unsupported "
			   "type: use SHA-256, SHA-384 or SHA-512");
	else if (!c->common_name && c->nsans == 0)
		refuse(ps, "the request has neither a common name nor an "
			   "alternative name");
}

static bool
only_space(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!strchr(" \t\r\n", s.p[i]) || s.p[i] == '\0')
			return false;
	}
	return true;
}

rc
csr_parse(struct arena *a, const char *pem, size_t len, struct csr *out,
    const char **out_why)
{
	struct csr c = {0};
	struct parse ps = {.a = a, .c = &c};
	struct span rest = {0};
	rc ret;

	if (len > CSR_PEM_MAX) {
		*out_why = "the request is longer than 16384 bytes";
		return RC_INVALID;
	}
	ret = pem_read(a, "CERTIFICATE REQUEST", pem, len, &c.der, &rest);
	if (ret == RC_NOT_FOUND)
		ret = pem_read(a, "NEW CERTIFICATE REQUEST", pem, len, &c.der,
		    &rest);
	if (ret != RC_OK) {
		*out_why = "the request is not PEM (CERTIFICATE REQUEST)";
		return RC_INVALID;
	}
	if (!only_space(rest)) {
		*out_why = "the request is followed by other text";
		return RC_INVALID;
	}
	read_request(&ps);
	if (ps.bad || ps.why) {
		*out_why = ps.bad ? "the request is not a DER-encoded PKCS#10 "
				    "request"
				  : ps.why;
		return RC_INVALID;
	}

	*out = c;
	return RC_OK;
}
