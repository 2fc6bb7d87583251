/*
 * leaf_ext: the extensions of a leaf certificate (RFC 5280 section 4.2).
 */
#ifndef COMMON_PKI_CERT_LEAF_EXT_H
#define COMMON_PKI_CERT_LEAF_EXT_H

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/asn1/der.h"
#include "common/pki/cert/certbuild.h"

#define LEAF_CRL_URLS_MAX 8
#define LEAF_CRL_URL_MAX 1024 /* as configured */
#define LEAF_CRL_KEY_MAX 17   /* what names one key's list behind it */

/*
 * In front of what w holds: [3] with key usage, extended key usage, basic
 * constraints, SKI, the given AKI extension, alternative names, CRL
 * distribution points, where OCSP answers and TLS feature.  RC_INVALID for an
 * unknown extended key usage or a URL that is none.
 */
rc leaf_ext_put(struct der_out *w, const struct leaf_spec *spec,
    struct span aki_ext) MUST_CHECK;
/* Whether it is the name of an extended key usage that a leaf can have. */
bool leaf_ext_is_eku(const char *name);
/* The room that leaf_ext_put needs at most. */
size_t leaf_ext_room(const struct leaf_spec *spec, struct span aki_ext);
/* One Extension in front of what w holds, around everything since mark. */
void leaf_ext_wrap(struct der_out *w, struct span oid, bool critical,
    const uint8_t *mark);

#endif
