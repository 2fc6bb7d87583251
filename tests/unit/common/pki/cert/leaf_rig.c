#include "tests/unit/common/pki/cert/leaf_rig.h"

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "tests/unit/check.h"

const struct fixture_ext ca_exts[] = {
    {NID_basic_constraints, "critical,CA:TRUE"},
    {NID_key_usage, "critical,keyCertSign,cRLSign"},
    {NID_subject_key_identifier, "hash"},
    {0},
};
static const char *const tls[] = {"serverAuth", "clientAuth", NULL};

void
env_start(struct env *e, const char *ca_kind)
{
	EVP_PKEY *key = fixture_key(ca_kind);

	*e = (struct env){.a = arena_new()};
	e->ca = fixture_ca(key, "Test CA", ca_exts);
	CHECK_INT(certbuild_new(e->ca, key, &e->b), RC_OK);
	e->spec = (struct leaf_spec){.serial_hex = SERIAL,
	    .not_before_unix = FROM,
	    .not_after_unix = TO,
	    .ekus = tls,
	    .csr = &e->csr};
}

void
env_stop(struct env *e)
{
	X509_free(e->leaf);
	certbuild_free(e->b);
	X509_free(e->ca);
	arena_free(e->a);
}

void
env_csr(struct env *e, const char *pem)
{
	const char *why = NULL;

	CHECK_INT(fixture_parse(e->a, pem, &e->csr, &why), RC_OK);
}

/* The certificate of e->spec, read by OpenSSL; DER in and out agree. */
void
env_issue(struct env *e)
{
	struct span tbs = {0}, der = {0};
	unsigned char *again = NULL;
	const uint8_t *p;
	int len;

	X509_free(e->leaf);
	e->leaf = NULL;
	CHECK_INT(certbuild_tbs(e->b, e->a, &e->spec, &tbs), RC_OK);
	CHECK_INT(certbuild_sign(e->b, e->a, tbs, &der), RC_OK);
	p = der.p;
	e->leaf = d2i_X509(NULL, &p, (long)der.len);
	CHECK(e->leaf != NULL);
	CHECK(p == der.p + der.len);
	/* Encoded anew, not from what OpenSSL kept of ours. */
	len = i2d_re_X509_tbs(e->leaf, &again);
	CHECK(len > 0 && (size_t)len == tbs.len);
	CHECK(memcmp(again, tbs.p, tbs.len) == 0);
	OPENSSL_free(again);
}

int
verify_at(struct env *e, int64_t when, int purpose)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;
	int error;

	X509_STORE_add_cert(store, e->ca);
	X509_STORE_CTX_init(ctx, store, e->leaf, NULL);
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
	X509_VERIFY_PARAM_set_time(param, (time_t)when);
	X509_VERIFY_PARAM_set_purpose(param, purpose);
	(void)X509_verify_cert(ctx); /* the error says it all */
	error = X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return error;
}
