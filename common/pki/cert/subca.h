/*
 * subca: the certificate of a CA below another (RFC 5280 sections 4.1, 4.2).
 */
#ifndef COMMON_PKI_CERT_SUBCA_H
#define COMMON_PKI_CERT_SUBCA_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/cert/constraints.h"

struct cJSON;

#define SUBCA_NAMES_MAX 4 /* of one attribute of a subject */
#define SUBCA_PATH_MAX 14 /* CAs below one another */
#define SUBCA_NO_PATH_LEN (-1)

/* What a key may be: "ECDSA-P256", ...; NULL at the end. */
extern const char *const subca_algorithms[];
/* NULL unless the subject, an object with common_name and lists, is one that a
 * CA can have; else why not, for whoever wrote it, in the arena. */
const char *subca_refuse_subject(struct arena *a, const struct cJSON *subject);

struct subca_spec {
	const struct cJSON *subject; /* not refused */
	int64_t not_before_unix, not_after_unix;
	int path_len; /* SUBCA_NO_PATH_LEN: unlimited */
	const struct constraints *constraints;
	const char *ocsp_url;        /* "" for none */
	const char *const *crl_urls; /* NULL-terminated; NULL for none */
};

/* How large a key of one of subca_algorithms is that keygen makes; 0 for one
 * that subca_key_new makes at once, which the caller frees. */
int subca_rsa_bits(const char *algorithm);
rc subca_key_new(const char *algorithm, EVP_PKEY **out) MUST_CHECK;
/*
 * What a CA directly below parent may have at most: *path_len is what is asked
 * for, or SUBCA_NO_PATH_LEN, and becomes what it gets, one less than parent's
 * where parent has one.  RC_INVALID with *out_why.
 */
rc subca_path_len(struct arena *a, X509 *parent, int *path_len,
    const char **out_why) MUST_CHECK;
/* Signed by parent's key.  The caller frees it. */
rc subca_make(X509 *parent, EVP_PKEY *parent_key, EVP_PKEY *key,
    const struct subca_spec *spec, X509 **out) MUST_CHECK;

#endif
