#include "common/pki/cert/crl.h"

#include <string.h>
#include <strings.h>

#include "common/base/enc.h"
#include "common/pki/asn1/der.h"
#include "common/pki/asn1/oid.h"
#include "common/pki/cert/leaf_ext.h"

/* An entry with its headers: serial of 21 octets, GeneralizedTime, reason. */
#define ENTRY_ROOM 64
#define FIXED_ROOM 256

static const struct {
	const char *name;
	uint8_t code;
} reasons[] = {
    {"keyCompromise", 1},
    {"caCompromise", 2},
    {"affiliationChanged", 3},
    {"superseded", 4},
    {"cessationOfOperation", 5},
    {"certificateHold", 6},
    {"privilegeWithdrawn", 9},
};

uint8_t
crl_reason(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (strcasecmp(reasons[i].name, name) == 0)
			return reasons[i].code;
	return 0;
}

const char *
crl_reason_name(int64_t code)
{
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].code == code)
			return reasons[i].name;
	return "unspecified";
}

rc
crl_serial_read(const char *hex, uint8_t out[CRL_SERIAL_BYTES])
{
	static const uint8_t zero[CRL_SERIAL_BYTES];
	rc ret = enc_unhex(hex, out, CRL_SERIAL_BYTES);

	if (ret == RC_OK && memcmp(out, zero, CRL_SERIAL_BYTES) == 0)
		return RC_INVALID;
	return ret;
}

const char *
crl_serial_text(struct arena *a, const uint8_t serial[CRL_SERIAL_BYTES])
{
	char hex[2 * CRL_SERIAL_BYTES + 1];
	size_t skip = 0;

	while (skip < CRL_SERIAL_BYTES - 1 && serial[skip] == 0)
		skip++;
	enc_hex(serial + skip, CRL_SERIAL_BYTES - skip, hex);
	return arena_strdup(a, hex);
}

/* A non-negative INTEGER in as few octets as it takes. */
static void
put_unsigned(struct der_out *w, const uint8_t *bytes, size_t len)
{
	uint8_t *mark = der_mark(w);

	while (len > 1 && bytes[0] == 0) {
		bytes++;
		len--;
	}
	der_put(w, bytes, len);
	if (bytes[0] >= 0x80)
		der_put_byte(w, 0);
	der_put_head(w, DER_INTEGER, mark);
}

static void
put_reason(struct der_out *w, uint8_t reason)
{
	/* Extensions of one: reasonCode, an ENUMERATED of one octet. */
	static const uint8_t fixed[] = {0x30, 0x0c, 0x30, 0x0a, 0x06, 0x03,
	    0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01};

	der_put_byte(w, reason);
	der_put(w, fixed, sizeof(fixed));
}

static rc
put_entries(struct der_out *w, const struct crl_spec *spec)
{
	uint8_t *mark = der_mark(w);

	/* Backwards, as der_out writes. */
	for (size_t i = spec->n; i > 0; i--) {
		const struct crl_entry *e = &spec->entries[i - 1];
		uint8_t *start = der_mark(w);

		if (i > 1 &&
		    memcmp(e[-1].serial, e->serial, CRL_SERIAL_BYTES) >= 0)
			return RC_INVALID;
		if (e->reason != 0)
			put_reason(w, e->reason);
		if (!der_put_time(w, e->revoked_at_unix))
			return RC_INVALID;
		put_unsigned(w, e->serial, CRL_SERIAL_BYTES);
		der_put_head(w, DER_SEQUENCE, start);
	}
	/* Of no entries the list itself is to be absent. */
	if (spec->n > 0)
		der_put_head(w, DER_SEQUENCE, mark);
	return RC_OK;
}

static void
put_extensions(struct der_out *w, const struct certbuild_issuer *ca,
    int64_t number)
{
	uint8_t *mark = der_mark(w), bytes[sizeof(number)];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(number >> (8 * (sizeof(bytes) - 1 - i)));
	put_unsigned(w, bytes, sizeof(bytes));
	leaf_ext_wrap(w, oid_crl_number, false, mark);
	der_put_span(w, ca->aki_ext);
	der_put_head(w, DER_SEQUENCE, mark);
	der_put_head(w, DER_CONTEXT_CONS | 0, mark);
}

static rc
put_tbs(struct der_out *w, const struct certbuild_issuer *ca,
    const struct crl_spec *spec)
{
	static const uint8_t version_2 = 1;
	uint8_t *mark = der_mark(w);
	rc ret;

	put_extensions(w, ca, spec->number);
	ret = put_entries(w, spec);
	if (ret != RC_OK)
		return ret;
	if (!der_put_time(w, spec->next_update_unix) ||
	    !der_put_time(w, spec->this_update_unix))
		return RC_INVALID;
	der_put_span(w, ca->name);
	der_put_span(w, ca->alg);
	der_put_value(w, DER_INTEGER, (struct span){&version_2, 1});
	der_put_head(w, DER_SEQUENCE, mark);
	return RC_OK;
}

rc
crl_tbs(const struct certbuild *b, struct arena *a, const struct crl_spec *spec,
    struct span *out_tbs)
{
	struct certbuild_issuer ca = certbuild_issuer(b);
	size_t room =
	    FIXED_ROOM + ca.name.len + ca.aki_ext.len + spec->n * ENTRY_ROOM;
	struct der_out w;
	rc ret;

	if (!ca.may_sign_crls)
		return RC_FORBIDDEN;
	if (spec->number < 1 ||
	    spec->next_update_unix <= spec->this_update_unix)
		return RC_INVALID;
	der_out_init(&w, arena_alloc(a, room), room);
	ret = put_tbs(&w, &ca, spec);
	if (ret != RC_OK)
		return ret;
	/* There was room: what fails is a length past three octets. */
	if (w.failed)
		return RC_TOO_LARGE;

	*out_tbs = der_out_span(&w);
	return RC_OK;
}
