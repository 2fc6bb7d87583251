/*
 * certresult: what a CA outside of our process sent back, before it is
 * believed.
 *
 * A CA may be slow, broken or hostile.  What it answers is stored and served
 * only if it is the certificate that was asked for: the request's key, the
 * request's names and no others, valid now, no CA certificate.
 */
#ifndef COMMON_PKI_CERT_CERTRESULT_H
#define COMMON_PKI_CERT_CERTRESULT_H

#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/cert/cert.h"
#include "common/pki/csr/csr.h"

#define CERTRESULT_PEM_MAX (128 * 1024)
#define CERTRESULT_CHAIN_MAX 8
/* How far the CA's clock may be ahead of ours. */
#define CERTRESULT_SKEW_S 300
/* What is about to end is of no use to anybody. */
#define CERTRESULT_LEFT_MIN_S 60

struct certresult {
	struct cert_info info;
	const char *leaf_pem;  /* written anew */
	const char *chain_pem; /* the other certificates, "" for none */
};

struct certresult_rules {
	const struct csr *csr;
	int64_t now_unix;
	int64_t max_ttl_s; /* 0: none; from now */
};

/*
 * The first certificate of the PEM text is the leaf, the others its chain;
 * everything else in the text is left out.  All lives in the arena.
 * RC_INVALID with *out_why, for people: what is wrong with it.  *out_serial
 * is set, to "" or the leaf's serial, so that it can be revoked at the CA.
 */
rc certresult_read(struct arena *a, const struct certresult_rules *rules,
    const char *pem, size_t len, struct certresult *out,
    const char **out_serial, const char **out_why) MUST_CHECK;

#endif
