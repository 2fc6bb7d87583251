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

#endif
