/*
 * Requests made by OpenSSL, read; answers, read back and verified by OpenSSL as
 * a client would.
 */
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/pki/cert/certbuild.h"
#include "common/pki/key/key.h"
#include "common/pki/ocsp/ocsp_answers.h"
#include "common/pki/ocsp/ocsp_request.h"
#include "common/pki/ocsp/ocsp_responder.h"
#include "common/pki/ocsp/ocsp_response.h"
#include "tests/unit/check.h"
#include "tests/unit/common/pki/fixture.h"

#define NOW 1800000000 /* 2027-01-15 */
#define SERIAL "5000000000000000000000000000000000000009"

static const struct fixture_ext ca_exts[] = {
    {NID_basic_constraints, "critical,CA:TRUE"},
    {NID_key_usage, "critical,keyCertSign,cRLSign"},
    {NID_subject_key_identifier, "hash"},
    {0},
};

struct env {
	struct arena *a;
	X509 *ca, *responder;
	EVP_PKEY *key;
	struct certbuild *b;
	struct ocsp_signer *signer;
};

static void
env_start(struct env *e)
{
	struct ocsp_responder_spec spec = {
	    .common_name = "OCSP Responder for Test CA",
	    .serial_hex = "4000000000000000000000000000000000000001",
	    .not_before_unix = NOW - 10,
	    .not_after_unix = NOW + 86400,
	};
	const uint8_t *p;
	struct span der;

	*e = (struct env){.a = arena_new(), .key = fixture_key("P-384")};
	e->ca = fixture_ca(e->key, "Test CA", ca_exts);
	CHECK_INT(certbuild_new(e->ca, e->key, &e->b), RC_OK);
	spec.key = fixture_key("P-256");
	CHECK_INT(ocsp_responder_make(e->b, e->a, &spec, &der), RC_OK);
	p = der.p;
	e->responder = d2i_X509(NULL, &p, (long)der.len);
	CHECK(e->responder && p == der.p + der.len);
	CHECK_INT(ocsp_signer_new(e->responder, fixture_key("P-256"),
		      &e->signer),
	    RC_OK);
}

static void
env_stop(struct env *e)
{
	ocsp_signer_free(e->signer);
	certbuild_free(e->b);
	X509_free(e->responder);
	X509_free(e->ca);
	arena_free(e->a);
}

static OCSP_CERTID *
their_id(struct env *e, const EVP_MD *md, const char *serial_hex)
{
	BIGNUM *n = NULL;
	ASN1_INTEGER *serial;
	OCSP_CERTID *id;

	CHECK(BN_hex2bn(&n, serial_hex) > 0);
	serial = BN_to_ASN1_INTEGER(n, NULL);
	id =
	    OCSP_cert_id_new(md ? md : EVP_sha1(), X509_get_subject_name(e->ca),
		X509_get0_pubkey_bitstr(e->ca), serial);
	ASN1_INTEGER_free(serial);
	BN_free(n);
	return id;
}

/* A request of OpenSSL's about one certificate, in the arena; nonce_len 0:
 * none. */
static struct span
their_request(struct env *e, const EVP_MD *md, const char *serial_hex,
    int nonce_len)
{
	OCSP_REQUEST *q = OCSP_REQUEST_new();
	unsigned char *der = NULL, nonce[64] = "nonce";
	struct span out;
	int len;

	CHECK(OCSP_request_add0_id(q, their_id(e, md, serial_hex)) != NULL);
	if (nonce_len > 0)
		CHECK_INT(OCSP_request_add1_nonce(q, nonce, nonce_len), 1);
	len = i2d_OCSP_REQUEST(q, &der);
	out = (struct span){arena_alloc(e->a, (size_t)len), (size_t)len};
	memcpy((void *)(uintptr_t)out.p, der, out.len);
	OPENSSL_free(der);
	OCSP_REQUEST_free(q);
	return out;
}

static void
test_requests(void)
{
	static const struct {
		const char *serial, *read;
	} serials[] = {
	    {"09", "0000000000000000000000000000000000000009"},
	    {"80", "0000000000000000000000000000000000000080"},
	    {SERIAL, SERIAL},
	    {"FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
		"ffffffffffffffffffffffffffffffffffffffff"},
	    {"01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", ""},
	    {"00", ""},
	};
	struct ocsp_request q;
	struct ocsp_ca ca;
	struct env e;

	env_start(&e);
	CHECK_INT(ocsp_ca_read(e.ca, &ca), RC_OK);
	for (size_t i = 0; i < ARRAY_LEN(serials); i++) {
		CHECK_INT(ocsp_request_parse(e.a,
			      their_request(&e, i % 2 ? EVP_sha256() : NULL,
				  serials[i].serial, 0),
			      &q),
		    RC_OK);
		CHECK_INT((int)q.n, 1);
		CHECK_STR(q.ids[0].serial_hex, serials[i].read);
		CHECK_INT(q.ids[0].md, i % 2 ? ALG_SHA256 : ALG_SHA1);
		CHECK(ocsp_ca_is(&ca, &q.ids[0]));
		CHECK(q.nonce.len == 0 && !q.is_nonce_malformed);
	}
	/* By a digest we do not know it is nobody's. */
	CHECK_INT(ocsp_request_parse(e.a,
		      their_request(&e, EVP_sha512(), SERIAL, 0), &q),
	    RC_OK);
	CHECK(!ocsp_ca_is(&ca, &q.ids[0]));
	env_stop(&e);
}

static void
test_another_ca(void)
{
	struct ocsp_request q;
	struct ocsp_ca ca;
	struct env e;
	X509 *same_name, *same_key;

	env_start(&e);
	same_name = fixture_ca(fixture_key("P-256"), "Test CA", ca_exts);
	same_key = fixture_ca(e.key, "Other CA", ca_exts);
	CHECK_INT(ocsp_request_parse(e.a, their_request(&e, NULL, SERIAL, 0),
		      &q),
	    RC_OK);
	CHECK_INT(ocsp_ca_read(same_name, &ca), RC_OK);
	CHECK(!ocsp_ca_is(&ca, &q.ids[0]));
	CHECK_INT(ocsp_ca_read(same_key, &ca), RC_OK);
	CHECK(!ocsp_ca_is(&ca, &q.ids[0]));
	X509_free(same_name);
	X509_free(same_key);
	env_stop(&e);
}

static void
test_nonces(void)
{
	struct ocsp_request q;
	struct env e;

	env_start(&e);
	for (int len = 1; len < 40; len++) {
		CHECK_INT(ocsp_request_parse(e.a,
			      their_request(&e, NULL, SERIAL, len), &q),
		    RC_OK);
		CHECK(q.is_nonce_malformed == (len > OCSP_NONCE_MAX));
		CHECK_INT((int)q.nonce.len, len > OCSP_NONCE_MAX ? 0 : len);
	}
	env_stop(&e);
}

/* Every byte of a request changed, and every length cut: never more than
 * RC_INVALID comes of it. */
static void
test_broken(void)
{
	struct ocsp_request q;
	struct span der;
	uint8_t *bytes;
	struct env e;

	env_start(&e);
	der = their_request(&e, NULL, SERIAL, 16);
	for (size_t len = 0; len < der.len; len++)
		CHECK_INT(ocsp_request_parse(e.a, (struct span){der.p, len},
			      &q),
		    RC_INVALID);
	bytes = arena_alloc(e.a, der.len);
	for (size_t i = 0; i < der.len; i++) {
		rc ret;

		memcpy(bytes, der.p, der.len);
		bytes[i] ^= 0xff;
		ret =
		    ocsp_request_parse(e.a, (struct span){bytes, der.len}, &q);
		CHECK(ret == RC_OK || ret == RC_INVALID);
	}
	env_stop(&e);
}

/* The CertID that a serial alone is answered by is OpenSSL's. */
static void
test_cert_id(void)
{
	static const char *const serials[] = {SERIAL,
	    "0000000000000000000000000000000000000080",
	    "ffffffffffffffffffffffffffffffffffffffff"};
	struct ocsp_ca ca;
	struct span ours;
	struct env e;

	env_start(&e);
	CHECK_INT(ocsp_ca_read(e.ca, &ca), RC_OK);
	for (size_t i = 0; i < ARRAY_LEN(serials); i++) {
		OCSP_CERTID *id = their_id(&e, NULL, serials[i]);
		unsigned char *der = NULL;
		int len = i2d_OCSP_CERTID(id, &der);

		CHECK_INT(ocsp_ca_cert_id(e.a, &ca, serials[i], &ours), RC_OK);
		CHECK(span_equal(ours, (struct span){der, (size_t)len}));
		OPENSSL_free(der);
		OCSP_CERTID_free(id);
	}
	CHECK_INT(ocsp_ca_cert_id(e.a, &ca, "12", &ours), RC_INVALID);
	env_stop(&e);
}

/* Read, and verified by the CA alone. */
static OCSP_BASICRESP *
verified(struct env *e, struct span der)
{
	X509_STORE *store = X509_STORE_new();
	const uint8_t *p = der.p;
	OCSP_RESPONSE *reply = d2i_OCSP_RESPONSE(NULL, &p, (long)der.len);
	OCSP_BASICRESP *basic;

	CHECK(reply && p == der.p + der.len);
	CHECK_INT(OCSP_response_status(reply), 0);
	basic = OCSP_response_get1_basic(reply);
	X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), NOW);
	X509_STORE_add_cert(store, e->ca);
	CHECK_INT(OCSP_basic_verify(basic, NULL, store, 0), 1);
	X509_STORE_free(store);
	OCSP_RESPONSE_free(reply);
	return basic;
}

static void
test_answers(void)
{
	static const struct {
		enum ocsp_status status;
		int theirs, reason;
	} cases[] = {
	    {OCSP_GOOD, V_OCSP_CERTSTATUS_GOOD, -1},
	    {OCSP_UNKNOWN, V_OCSP_CERTSTATUS_UNKNOWN, -1},
	    {OCSP_REVOKED, V_OCSP_CERTSTATUS_REVOKED, -1},
	    {OCSP_REVOKED, V_OCSP_CERTSTATUS_REVOKED, 6},
	};
	struct ocsp_single singles[ARRAY_LEN(cases)];
	struct ocsp_spec spec = {
	    .singles = singles,
	    .n = ARRAY_LEN(cases),
	    .this_update_unix = NOW,
	    .next_update_unix = NOW + 3600,
	    .nonce = {(const uint8_t *)"0123456789abcdef", 16},
	};
	struct ocsp_request q;
	OCSP_BASICRESP *basic;
	struct span der;
	struct env e;

	env_start(&e);
	CHECK_INT(ocsp_request_parse(e.a, their_request(&e, NULL, SERIAL, 0),
		      &q),
	    RC_OK);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		singles[i] = (struct ocsp_single){
		    .cert_id = q.ids[0].whole,
		    .status = cases[i].status,
		    .revoked_at_unix = NOW - 60,
		    .reason =
			cases[i].reason > 0 ? (uint8_t)cases[i].reason : 0,
		};
	CHECK_INT(ocsp_sign(e.signer, e.a, &spec, &der), RC_OK);
	basic = verified(&e, der);
	CHECK_INT(OCSP_resp_count(basic), (int)ARRAY_LEN(cases));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ASN1_GENERALIZEDTIME *revoked = NULL, *this, *next;
		OCSP_SINGLERESP *one = OCSP_resp_get0(basic, (int)i);
		int reason = -1;

		CHECK_INT(OCSP_single_get0_status(one, &reason, &revoked, &this,
			      &next),
		    cases[i].theirs);
		CHECK_INT(reason, cases[i].reason);
		CHECK_INT(ASN1_TIME_cmp_time_t(this, NOW), 0);
		CHECK_INT(ASN1_TIME_cmp_time_t(next, NOW + 3600), 0);
		CHECK((revoked != NULL) == (cases[i].status == OCSP_REVOKED));
		if (revoked)
			CHECK_INT(ASN1_TIME_cmp_time_t(revoked, NOW - 60), 0);
	}
	CHECK(OCSP_BASICRESP_get_ext_by_NID(basic, NID_id_pkix_OCSP_Nonce,
		  -1) >= 0);
	OCSP_BASICRESP_free(basic);
	spec.n = 0;
	CHECK_INT(ocsp_sign(e.signer, e.a, &spec, &der), RC_INVALID);
	env_stop(&e);
}

/* As a worker hands them to an apiserver: ends that are alike once. */
static void
test_many_answers(void)
{
	struct ocsp_single single = {.status = OCSP_GOOD};
	struct ocsp_spec spec = {
	    .singles = &single,
	    .n = 1,
	    .this_update_unix = NOW,
	    .next_update_unix = NOW + 3600,
	};
	struct ocsp_answer given[3] = {
	    {.outcome = "good", .left_s = 3600},
	    {.outcome = "no_issuer"},
	    {.outcome = "good"},
	};
	const struct ocsp_answer *got;
	struct ocsp_request q;
	struct span octets, end;
	struct env e;
	size_t n;

	env_start(&e);
	CHECK_INT(ocsp_request_parse(e.a, their_request(&e, NULL, SERIAL, 0),
		      &q),
	    RC_OK);
	single.cert_id = q.ids[0].whole;
	end = ocsp_signer_end(e.signer);
	for (size_t i = 0; i < 3; i += 2) {
		CHECK_INT(ocsp_sign(e.signer, e.a, &spec, &given[i].der),
		    RC_OK);
		CHECK(given[i].der.len > end.len &&
		      memcmp(given[i].der.p + given[i].der.len - end.len, end.p,
			  end.len) == 0);
		given[i].end = end;
	}
	CHECK_INT(ocsp_answers_write(e.a, given, 3, &octets), RC_OK);
	CHECK(octets.len < given[0].der.len + given[2].der.len);
	CHECK_INT(ocsp_answers_read(e.a, octets, &got, &n), RC_OK);
	CHECK_INT((int)n, 3);
	for (size_t i = 0; i < 3; i++) {
		CHECK_STR(got[i].outcome, given[i].outcome);
		CHECK(span_equal(got[i].der, given[i].der));
		CHECK_INT((int)got[i].left_s, (int)given[i].left_s);
	}
	/* Cut anywhere, or with something behind it, it is none. */
	for (size_t len = 0; len < octets.len; len++)
		CHECK_INT(ocsp_answers_read(e.a, (struct span){octets.p, len},
			      &got, &n),
		    RC_INVALID);
	given[1].der = (struct span){given[0].der.p, 0x10000};
	CHECK_INT(ocsp_answers_write(e.a, given, 3, &octets), RC_TOO_LARGE);
	env_stop(&e);
}

static void
test_errors(void)
{
	uint8_t der[OCSP_ERROR_LEN];
	const uint8_t *p = der;
	OCSP_RESPONSE *reply;

	ocsp_error(OCSP_UNAUTHORIZED, der);
	reply = d2i_OCSP_RESPONSE(NULL, &p, sizeof(der));
	CHECK(reply && p == der + sizeof(der));
	CHECK_INT(OCSP_response_status(reply),
	    OCSP_RESPONSE_STATUS_UNAUTHORIZED);
	OCSP_RESPONSE_free(reply);
}

/* What it is good for, and for what it is not. */
static void
test_responder(void)
{
	struct ocsp_signer *none;
	struct env e;

	env_start(&e);
	CHECK_INT((int)X509_get_extended_key_usage(e.responder), XKU_OCSP_SIGN);
	CHECK_INT((int)X509_get_key_usage(e.responder), KU_DIGITAL_SIGNATURE);
	CHECK(X509_get_ext_by_NID(e.responder, NID_id_pkix_OCSP_noCheck, -1) >=
	      0);
	CHECK_INT(X509_check_ca(e.responder), 0);
	CHECK_INT(X509_check_issued(e.ca, e.responder), X509_V_OK);
	CHECK_INT(X509_verify(e.responder, e.key), 1);
	CHECK_INT(ocsp_signer_new(e.responder, e.key, &none), RC_INVALID);
	env_stop(&e);
}

CHECK_MAIN(CHECK_ROW(test_requests), CHECK_ROW(test_another_ca),
    CHECK_ROW(test_nonces), CHECK_ROW(test_broken), CHECK_ROW(test_cert_id),
    CHECK_ROW(test_answers), CHECK_ROW(test_many_answers),
    CHECK_ROW(test_errors), CHECK_ROW(test_responder))
