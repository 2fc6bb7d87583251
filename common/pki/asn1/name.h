/*
 * name: what may stand as a name in a request or a certificate.
 *
 * A name that looks like another one to a person is the attack; so control,
 * bidirectional and zero-width characters are refused wherever text is
 * copied, and labels that mix ASCII with other letters wherever a host is
 * named.  Reasons are static strings, written for the client.
 */
#ifndef COMMON_PKI_ASN1_NAME_H
#define COMMON_PKI_ASN1_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/pki/asn1/der.h"
#include "common/pki/csr/csr.h"

#define NAME_MAX_BYTES 253
#define NAME_URI_MAX_BYTES 2048

/* NULL when the text may be copied; otherwise the reason. */
const char *name_refuse_text(const char *s, size_t len);
/* The same for a common name: also its length, and mixed labels. */
const char *name_refuse_common_name(const char *s, size_t len);
/* The same for an alternative name; SAN_IP is not text and not for this. */
const char *name_refuse_san(enum san_type type, const char *s, size_t len);

/* An address as text: SAN_IP; with "://" a URI, with '@' an e-mail address,
 * else a DNS name.  addr (16 bytes) and *addr_len are set for SAN_IP only. */
enum san_type name_classify(const char *text, uint8_t *addr, size_t *addr_len);
/* The printed form of 4 or 16 octets; out holds 46 bytes. */
void name_print_ip(const uint8_t *addr, size_t addr_len, char *out);

/* The text as the alternative name that it looks like, in the arena; DNS
 * names in lower case, as they are equal whatever their case (RFC 4343).
 * NULL, or the reason of a refusal. */
const char *name_read(struct arena *a, const char *text, struct san *out);
/* text and octets of a name whose kind is set and whose text was not refused;
 * of an address of 4 or 16 octets, with its kind. */
void name_fill_text(struct arena *a, struct span text, struct san *out);
void name_fill_address(struct arena *a, struct span octets, struct san *out);
/* The one of this kind and these octets; NULL when there is none. */
const struct san *name_find(const struct san *list, size_t n,
    const struct san *name);
/* One GeneralName in front of what w holds. */
void name_put(struct der_out *w, const struct san *name);
/* A Name of this common name alone, as UTF8String; an empty one for NULL. */
void name_put_subject(struct der_out *w, const char *common_name);

#endif
