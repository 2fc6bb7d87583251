/*
 * leaf_rig: a CA, a specification, and the leaf that comes of both.
 */
#ifndef TESTS_UNIT_COMMON_PKI_CERT_LEAF_RIG_H
#define TESTS_UNIT_COMMON_PKI_CERT_LEAF_RIG_H

#include "common/pki/cert/certbuild.h"
#include "tests/unit/common/pki/fixture.h"

#define SERIAL "5018e3a6b0ff00112233445566778899aabbccdd"
#define FROM 1800000000 /* 2027-01-15 */
#define TO (FROM + 90 * 86400)

/* What a CA's certificate holds. */
extern const struct fixture_ext ca_exts[];

struct env {
	struct arena *a;
	X509 *ca;
	struct certbuild *b;
	struct csr csr;
	struct leaf_spec spec;
	X509 *leaf;
};

/* With a CA of that kind of key, and a specification that lacks the CSR. */
void env_start(struct env *e, const char *ca_kind);
void env_stop(struct env *e);
void env_csr(struct env *e, const char *pem);
/* The certificate of e->spec, read by OpenSSL; DER in and out agree. */
void env_issue(struct env *e);
/* X509_V_OK, or what OpenSSL finds. */
int verify_at(struct env *e, int64_t when, int purpose);

#endif
