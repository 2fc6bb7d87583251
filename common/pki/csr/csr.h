/*
 * csr: PKCS#10 requests (RFC 2986), read and made.
 */
#ifndef COMMON_PKI_CSR_CSR_H
#define COMMON_PKI_CSR_CSR_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/asn1/span.h"

/* The one limit of names, from the certificate's row to its leaf. */
#define CSR_SANS_MAX 100
#define CSR_NAMES_MAX (CSR_SANS_MAX + 1) /* and the common name */
#define CSR_PEM_MAX 49152 /* that many of 253 bytes, with the longest key */
/* ub-common-name of RFC 5280 appendix A. */
#define CSR_COMMON_NAME_MAX 64

enum san_type { SAN_DNS, SAN_IP, SAN_EMAIL, SAN_URI };
struct san {
	enum san_type type;
	const char *text;   /* lower case for DNS; printed form for IP */
	struct span octets; /* content of the GeneralName: text, or address */
};

/* Spans point into der. */
struct csr {
	struct span der;
	struct span tbs;     /* CertificationRequestInfo */
	struct span subject; /* Name, with its header */
	struct span spki;    /* SubjectPublicKeyInfo, with its header */
	struct span sig_alg; /* AlgorithmIdentifier */
	struct span sig;     /* signature bits, without the unused-bits octet */
	const char *common_name; /* NULL when the subject has none */
	size_t nsans;
	const struct san *sans;
	const char *key_algorithm; /* "ECDSA", "RSA", "Ed25519" */
	int key_size;

	/* What a certificate for it carries.  Of the subject nothing but the
	 * common name is taken: all else in it is the requester's word. */
	struct span leaf_spki; /* spki, with the parameters RFC 4055 wants */
	const char *leaf_common_name; /* NULL: the subject is empty */
	size_t nnames;                /* at least 1 */
	const struct san *names; /* alternative names and the common name, each
				  * once */
};

/*
 * PEM ("CERTIFICATE REQUEST", also the old "NEW CERTIFICATE REQUEST") into
 * fields, by our own small DER reader (fuzzed against OpenSSL's).  Everything
 * lives in the arena.  RC_INVALID with *out_why for the client: not PEM, text
 * beside the block, not DER, a common name that is no alternative name, unsafe
 * names (control, bidi or zero-width characters), more than CSR_NAMES_MAX
 * names, unsupported key, RSA under 2048 bits, an extension twice, one that
 * asks to be a CA. The signature is not verified here.
 */
rc csr_parse(struct arena *a, const char *pem, size_t len, struct csr *out,
    const char **out_why) MUST_CHECK;
/* RC_INVALID when the self-signature does not verify. */
rc csr_verify(const struct csr *c) MUST_CHECK;
/* Every name of the request is among the allowed ones, and every allowed one is
 * there; of the same kind, DNS names whatever their case.  RC_INVALID with
 * *out_why. */
rc csr_match_names(struct arena *a, const struct csr *c,
    const char *common_name, const char *const *sans, size_t nsans,
    const char **out_why) MUST_CHECK;
/* Whether the request has something of this type: a part of its subject, an
 * attribute, or an extension that it asks for. */
bool csr_has_type(const struct csr *c, struct span oid);
/* A request for these names, each once, signed by the key: PEM in the arena.
 * Text that parses as an address is an IP SAN, with '@' an e-mail, else DNS.
 * RC_INVALID: none, more than CSR_NAMES_MAX, or one that can be no alternative
 * name; a key that cannot sign. */
rc csr_make(struct arena *a, EVP_PKEY *key, const char *common_name,
    const char *const *sans, size_t nsans, char **out_pem) MUST_CHECK;

#endif
