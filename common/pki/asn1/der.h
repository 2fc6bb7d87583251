/*
 * der: reading and writing the Distinguished Encoding Rules (X.690).
 *
 * The reader is a cursor with one "bad" flag shared by all cursors of a
 * message: the first thing that is not strict DER sets it, every later read
 * then returns nothing, and the caller looks once, at the end.  The writer
 * fills a buffer from its end towards its start, so that every length is
 * known when its header is written.  Neither allocates.
 */
#ifndef COMMON_PKI_ASN1_DER_H
#define COMMON_PKI_ASN1_DER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/pki/asn1/span.h"

enum der_tag {
	DER_ANY = 0x00, /* reading only: whichever tag comes */
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_NULL = 0x05,
	DER_OID = 0x06,
	DER_ENUMERATED = 0x0a,
	DER_UTF8 = 0x0c,
	DER_NUMERIC = 0x12,
	DER_PRINTABLE = 0x13,
	DER_IA5 = 0x16,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_CONTEXT = 0x80,     /* | number */
	DER_CONTEXT_CONS = 0xa0 /* | number */
};

struct der {
	const uint8_t *p;
	const uint8_t *end;
	bool *bad;
};

/* *bad must be false at the start of a message and outlive the cursors. */
void der_init(struct der *d, struct span bytes, bool *bad);
bool der_more(const struct der *d);
/* The tag that comes next; DER_ANY at the end. */
uint8_t der_peek(const struct der *d);
/* The content of the next element; empty and bad when it has another tag. */
struct span der_take(struct der *d, uint8_t tag);
/* The same with its header. */
struct span der_take_whole(struct der *d, uint8_t tag);
/* A cursor over the content of the next element. */
struct der der_enter(struct der *d, uint8_t tag);
/* Bad when anything is left. */
void der_end(struct der *d);
/* The bits of a BIT STRING of whole octets. */
struct span der_take_bits(struct der *d);
/* Whether the content is what X.690 allows for a universal tag: the checks
 * OpenSSL makes on an ANY, so that the two agree on what is refused. */
bool der_value_ok(uint8_t tag, struct span content);

struct der_out {
	uint8_t *start;
	uint8_t *p; /* what was written lies in [p, end) */
	uint8_t *end;
	bool failed; /* the buffer was too small */
};

void der_out_init(struct der_out *w, uint8_t *room, size_t len);
void der_put(struct der_out *w, const void *bytes, size_t len);
void der_put_span(struct der_out *w, struct span s);
void der_put_byte(struct der_out *w, uint8_t byte);
/* The header of everything written since der_mark. */
uint8_t *der_mark(const struct der_out *w);
void der_put_head(struct der_out *w, uint8_t tag, const uint8_t *mark);
/* One primitive element. */
void der_put_value(struct der_out *w, uint8_t tag, struct span content);
/* UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280 section
 * 4.1.2.5); false for what neither can say. */
bool der_put_time(struct der_out *w, int64_t unix_time) MUST_CHECK;
/* GeneralizedTime whatever the year, as elsewhere than in certificates and
 * lists. */
bool der_put_generalized_time(struct der_out *w, int64_t unix_time) MUST_CHECK;
/* Empty when the buffer was too small. */
struct span der_out_span(const struct der_out *w);

#endif
