#include "common/pki/cert/crlscan.h"

#include "common/pki/asn1/der.h"

#define HEADERS_MAX 12 /* of two SEQUENCEs */

static struct span
left_of(const struct der *d)
{
	return (struct span){d->p, (size_t)(d->end - d->p)};
}

/* --- the list --- */

static bool
is_time(uint8_t tag)
{
	return tag == DER_UTC_TIME || tag == DER_GENERALIZED_TIME;
}

static void
take_time(struct der *d)
{
	uint8_t tag = der_peek(d);

	if (!is_time(tag) || !der_value_ok(tag, der_take(d, tag)))
		*d->bad = true;
}

static rc
join(struct arena *a, struct span before, struct span after, struct span end,
    struct span *out)
{
	size_t room = before.len + after.len + end.len + HEADERS_MAX;
	struct der_out w;
	uint8_t *outer, *inner;

	if (room > CRLSCAN_HEAD_MAX)
		return RC_TOO_LARGE;
	der_out_init(&w, arena_alloc(a, room), room);
	outer = der_mark(&w);
	der_put_span(&w, end);
	inner = der_mark(&w);
	der_put_span(&w, after);
	der_put_span(&w, before);
	der_put_head(&w, DER_SEQUENCE, inner);
	der_put_head(&w, DER_SEQUENCE, outer);
	*out = der_out_span(&w);
	return RC_OK;
}

rc
crlscan_cut(struct arena *a, struct span der, struct crlscan *out)
{
	struct span before, after, end, inner, outer;
	struct der whole, list, signed_part, tbs;
	bool bad = false;

	der_init(&whole, der, &bad);
	list = der_enter(&whole, DER_SEQUENCE);
	der_end(&whole);
	out->tbs = der_take_whole(&list, DER_SEQUENCE);
	end = left_of(&list);
	outer = der_take_whole(&list, DER_SEQUENCE);
	(void)der_take_bits(&list);
	der_end(&list);

	der_init(&signed_part, out->tbs, &bad);
	tbs = der_enter(&signed_part, DER_SEQUENCE);
	before = left_of(&tbs);
	if (der_peek(&tbs) == DER_INTEGER)
		(void)der_take(&tbs, DER_INTEGER);
	inner = der_take_whole(&tbs, DER_SEQUENCE);
	(void)der_take(&tbs, DER_SEQUENCE); /* the issuer's name */
	take_time(&tbs);
	if (is_time(der_peek(&tbs)))
		take_time(&tbs);
	before.len = (size_t)(tbs.p - before.p);
	out->entries = (struct span){tbs.p, 0};
	if (der_peek(&tbs) == DER_SEQUENCE)
		out->entries = der_take(&tbs, DER_SEQUENCE);
	after = left_of(&tbs);
	if (der_more(&tbs))
		(void)der_take(&tbs, DER_CONTEXT_CONS);
	der_end(&tbs);
	if (bad || !span_equal(inner, outer))
		return RC_INVALID;
	return join(a, before, after, end, &out->head);
}

/* --- its entries --- */

static void
read_extension(struct der *d, struct crlscan_entry *e)
{
	static const uint8_t reason[] = {0x55, 0x1d, 0x15}; /* 2.5.29.21 */
	static const uint8_t removed[] = {0x0a, 0x01, 0x08};
	struct der one = der_enter(d, DER_SEQUENCE);
	struct span oid = der_take(&one, DER_OID), value;

	if (der_peek(&one) == DER_BOOLEAN) {
		value = der_take(&one, DER_BOOLEAN);
		if (!der_value_ok(DER_BOOLEAN, value))
			*d->bad = true;
		else if (value.p[0])
			e->has_critical = true;
	}
	value = der_take(&one, DER_OCTET_STRING);
	der_end(&one);
	if (span_equal(oid, (struct span){reason, sizeof(reason)}) &&
	    span_equal(value, (struct span){removed, sizeof(removed)}))
		e->is_removed = true;
}

static void
read_entry(struct der *d, struct crlscan_entry *e)
{
	struct der one = der_enter(d, DER_SEQUENCE), all;

	*e = (struct crlscan_entry){.serial = der_take(&one, DER_INTEGER)};
	if (!der_value_ok(DER_INTEGER, e->serial))
		*d->bad = true;
	take_time(&one);
	if (der_more(&one)) {
		all = der_enter(&one, DER_SEQUENCE);
		while (der_more(&all))
			read_extension(&all, e);
	}
	der_end(&one);
}

rc
crlscan_entries(struct span entries,
    void (*each)(void *arg, const struct crlscan_entry *e), void *arg)
{
	struct crlscan_entry e;
	bool bad = false;
	struct der d;

	der_init(&d, entries, &bad);
	while (der_more(&d)) {
		read_entry(&d, &e);
		if (!bad)
			each(arg, &e);
	}
	return bad ? RC_INVALID : RC_OK;
}
