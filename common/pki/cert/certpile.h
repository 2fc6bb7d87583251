/*
 * certpile: putting certificates that came in any order into the one that a
 * server sends (RFC 8446 section 4.4.2).
 *
 * CAs promise no order: a leaf stands last, a root between, an issuer is sent
 * twice.  What belongs to a key is found by the key.
 */
#ifndef COMMON_PKI_CERT_CERTPILE_H
#define COMMON_PKI_CERT_CERTPILE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/pki/asn1/span.h"

#define CERTPILE_MAX 32

/*
 * The certificate with that public key (a SubjectPublicKeyInfo), then who
 * signed it, and so on upwards, without a root: PEM in the arena.  Each is
 * signed by the next; what does not belong there is left out.  Where none has
 * that key the first is one that is no CA's, so that whoever judges it says
 * what is wrong with that.
 *
 * NULL when it can't be told: more than CERTPILE_MAX certificates, one that
 * can't be read, nothing but CAs.
 */
const char *certpile_order(struct arena *a, struct span spki, const char *pem,
    size_t len);
/* Whether the first certificate of the text has that public key. */
bool certpile_is_of_key(struct span spki, const char *pem, size_t len);

#endif
