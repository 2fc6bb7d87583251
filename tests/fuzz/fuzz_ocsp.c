/*
 * The reader of OCSP requests against OpenSSL's: what ours accepts OpenSSL must
 * accept, with the same certificates and nonce; and an answer to it must be one
 * that OpenSSL reads, verifies, and finds each of them in.
 *
 * Input: DER.
 */
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/pki/cert/certbuild.h"
#include "common/pki/key/key.h"
#include "common/pki/ocsp/ocsp_request.h"
#include "common/pki/ocsp/ocsp_responder.h"
#include "common/pki/ocsp/ocsp_response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_ocsp: %s\n", what);
		abort();
	}
}

struct authority {
	X509 *ca;
	struct ocsp_signer *signer;
};

static const struct authority *
authority(void)
{
	static struct authority made;
	struct ocsp_responder_spec spec = {
	    .common_name = "OCSP Responder for Fuzz CA",
	    .serial_hex = "4000000000000000000000000000000000000001",
	    .not_after_unix = 4102444800,
	};
	struct arena *a = arena_new();
	struct certbuild *b;
	EVP_PKEY *ca_key, *key;
	struct span der;
	const uint8_t *p;
	X509 *x;

	if (made.signer) {
		arena_free(a);
		return &made;
	}
	must(certbuild_root("Fuzz CA", 0, 4102444800, &made.ca, &ca_key) ==
		 RC_OK,
	    "no root");
	must(certbuild_new(made.ca, ca_key, &b) == RC_OK, "no CA");
	must(key_new_p256(&key) == RC_OK, "no key");
	spec.key = key;
	must(ocsp_responder_make(b, a, &spec, &der) == RC_OK, "no responder");
	p = der.p;
	x = d2i_X509(NULL, &p, (long)der.len);
	must(x != NULL, "OpenSSL refuses the responder");
	must(ocsp_signer_new(x, key, &made.signer) == RC_OK, "no signer");
	X509_free(x);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
	certbuild_free(b);
	arena_free(a);
	return &made;
}

static void
compare_id(const struct ocsp_id *ours, OCSP_CERTID *theirs)
{
	unsigned char *der = NULL;
	int len = i2d_OCSP_CERTID(theirs, &der);

	must(len > 0 &&
		 span_equal(ours->whole, (struct span){der, (size_t)len}),
	    "another CertID");
	OPENSSL_free(der);
}

static void
compare_nonce(const struct ocsp_request *q, OCSP_REQUEST *theirs)
{
	int at =
	    OCSP_REQUEST_get_ext_by_NID(theirs, NID_id_pkix_OCSP_Nonce, -1);

	must((at >= 0) == (q->nonce.len > 0 || q->is_nonce_malformed),
	    "a nonce only one of us sees");
}

static void
answer(struct arena *a, const struct ocsp_request *q, OCSP_REQUEST *theirs)
{
	const struct authority *auth = authority();
	struct ocsp_single singles[OCSP_IDS_MAX];
	struct ocsp_spec spec = {
	    .singles = singles,
	    .n = q->n,
	    .this_update_unix = 1000000000,
	    .next_update_unix = 1000003600,
	    .nonce = q->nonce,
	};
	OCSP_BASICRESP *basic;
	OCSP_RESPONSE *reply;
	X509_STORE *store = X509_STORE_new();
	const uint8_t *p;
	struct span der;

	for (size_t i = 0; i < q->n; i++)
		singles[i] = (struct ocsp_single){
		    .cert_id = q->ids[i].whole,
		    .status = (enum ocsp_status)(i % 3),
		    .revoked_at_unix = 999999999,
		    .reason = (uint8_t)(i % 2),
		};
	must(ocsp_sign(auth->signer, a, &spec, &der) == RC_OK, "no answer");
	p = der.p;
	reply = d2i_OCSP_RESPONSE(NULL, &p, (long)der.len);
	must(reply && p == der.p + der.len, "OpenSSL refuses the answer");
	must(OCSP_response_status(reply) == 0, "it is no success");
	basic = OCSP_response_get1_basic(reply);
	must(basic != NULL, "OpenSSL refuses what it is made of");
	X509_STORE_add_cert(store, auth->ca);
	must(OCSP_basic_verify(basic, NULL, store, OCSP_NOCHECKS) == 1,
	    "not verified");
	must((size_t)OCSP_resp_count(basic) == q->n, "another number");
	for (size_t i = 0; i < q->n; i++) {
		OCSP_ONEREQ *one = OCSP_request_onereq_get0(theirs, (int)i);
		const OCSP_CERTID *id =
		    OCSP_SINGLERESP_get0_id(OCSP_resp_get0(basic, (int)i));

		must(OCSP_id_cmp(OCSP_onereq_get0_id(one), id) == 0,
		    "another certificate");
	}
	must(q->nonce.len == 0 || OCSP_check_nonce(theirs, basic) == 1,
	    "another nonce");
	X509_STORE_free(store);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(reply);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	struct ocsp_request q;
	OCSP_REQUEST *theirs;
	const uint8_t *p = data;
	rc ret = ocsp_request_parse(a, (struct span){data, size}, &q);

	if (ret == RC_OK) {
		theirs = d2i_OCSP_REQUEST(NULL, &p, (long)size);
		must(theirs && p == data + size, "OpenSSL refuses it");
		must((size_t)OCSP_request_onereq_count(theirs) == q.n,
		    "another number of certificates");
		for (size_t i = 0; i < q.n; i++)
			compare_id(&q.ids[i],
			    OCSP_onereq_get0_id(
				OCSP_request_onereq_get0(theirs, (int)i)));
		compare_nonce(&q, theirs);
		answer(a, &q, theirs);
		OCSP_REQUEST_free(theirs);
	}
	ERR_clear_error();
	arena_free(a);
	return 0;
}
