/*
 * The CAs that leaves are made with: refused, odd, and our own root.
 */
#include "common/pki/cert/certbuild.h"

#include <openssl/x509v3.h>

#include "common/base/attr.h"
#include "common/pki/cert/cert.h"
#include "tests/unit/check.h"
#include "tests/unit/common/pki/cert/leaf_rig.h"

static void
test_ca_refused(void)
{
	static const struct fixture_ext leaf[] = {{NID_basic_constraints,
						      "critical,CA:FALSE"},
	    {0}};
	static const struct fixture_ext no_sign[] = {{NID_basic_constraints,
							 "critical,CA:TRUE"},
	    {NID_key_usage, "critical,cRLSign"}, {0}};
	static const struct {
		const char *key, *with;
		const struct fixture_ext *exts;
	} rows[] = {
	    {"P-256", "P-256", leaf},
	    {"P-256", "P-256", no_sign},
	    {"P-256", "P-384", ca_exts},
	    {"P-521", "P-521", ca_exts},
	    {"ED25519", "ED25519", ca_exts},
	    {"RSA:1024", "RSA:1024", ca_exts},
	};
	struct certbuild *b = NULL;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		X509 *ca =
		    fixture_ca(fixture_key(rows[i].key), "x", rows[i].exts);

		CHECK_INT(certbuild_new(ca, fixture_key(rows[i].with), &b),
		    RC_INVALID);
		CHECK(b == NULL);
		X509_free(ca);
	}
	certbuild_free(NULL);
}

/* A CA without a key identifier of its own, or with an odd one. */
static void
test_ca_key_ids(void)
{
	static const struct fixture_ext without[] = {{NID_basic_constraints,
							 "critical,CA:TRUE"},
	    {0}};
	static const struct fixture_ext odd[] = {{NID_basic_constraints,
						     "critical,CA:TRUE"},
	    {NID_subject_key_identifier, "01:02:03"}, {0}};
	EVP_PKEY *key = fixture_key("P-256");
	unsigned char digest[EVP_MAX_MD_SIZE];
	const ASN1_OCTET_STRING *aki;
	struct env e;

	env_start(&e, "P-256");
	env_csr(&e, fixture_simple(e.a, key, "a.example", NULL));
	CHECK_INT(X509_pubkey_digest(e.ca, EVP_sha1(), digest, NULL), 1);
	for (int i = 0; i < 2; i++) {
		certbuild_free(e.b);
		e.b = NULL;
		X509_free(e.ca);
		e.ca = fixture_ca(key, "x", i ? odd : without);
		CHECK_INT(certbuild_new(e.ca, key, &e.b), RC_OK);
		env_issue(&e);
		aki = X509_get0_authority_key_id(e.leaf);
		CHECK_INT(ASN1_STRING_length(aki), i ? 3 : 20);
		CHECK(memcmp(ASN1_STRING_get0_data(aki),
			  i ? (const void *)"\x01\x02\x03" : digest,
			  i ? 3 : 20) == 0);
	}
	env_stop(&e);
}

static void
test_root(void)
{
	struct cert_info info;
	X509 *root = NULL;
	EVP_PKEY *key = NULL;
	struct env e;

	env_start(&e, "P-256");
	env_csr(&e,
	    fixture_simple(e.a, fixture_key("P-256"), "a.example", NULL));
	CHECK_INT(certbuild_root("CertCtl Local CA", FROM - 60,
		      FROM + 315360000, &root, &key),
	    RC_OK);
	CHECK_INT(cert_read(e.a, root, &info), RC_OK);
	CHECK(info.is_ca);
	CHECK_STR(info.common_name, "CertCtl Local CA");
	CHECK_STR(info.key_algorithm, "ECDSA");
	CHECK_INT(info.key_size, 256);
	CHECK_INT(info.not_before_unix, FROM - 60);
	CHECK_INT(info.not_after_unix, FROM + 315360000);
	CHECK_INT(X509_self_signed(root, 1), 1);
	CHECK_INT(X509_get_pathlen(root), -1);
	CHECK_INT(X509_get_key_usage(root), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
	certbuild_free(e.b);
	e.b = NULL;
	CHECK_INT(certbuild_new(root, key, &e.b), RC_OK);
	X509_free(e.ca);
	e.ca = root;
	EVP_PKEY_free(key);
	env_issue(&e);
	CHECK_INT(verify_at(&e, FROM, X509_PURPOSE_SSL_SERVER), X509_V_OK);
	env_stop(&e);
}

static void
test_root_refused(void)
{
	X509 *root = NULL;
	EVP_PKEY *key = NULL;
	char name[66];

	memset(name, 'a', 65);
	name[65] = '\0';
	CHECK_INT(certbuild_root("", 0, 1, &root, &key), RC_INVALID);
	CHECK_INT(certbuild_root("a\nb", 0, 1, &root, &key), RC_INVALID);
	CHECK_INT(certbuild_root(name, 0, 1, &root, &key), RC_INVALID);
	CHECK_INT(certbuild_root("a", 1, 1, &root, &key), RC_INVALID);
	CHECK(root == NULL && key == NULL);
}

CHECK_MAIN(CHECK_ROW(test_ca_refused), CHECK_ROW(test_ca_key_ids),
    CHECK_ROW(test_root), CHECK_ROW(test_root_refused))
