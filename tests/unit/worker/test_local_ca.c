/*
 * Opening the CAs: roots made, read back and sealed; sub-CAs from files, with
 * everything that can be wrong with the files.
 */
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/secret.h"
#include "common/pki/cert/cert.h"
#include "common/pki/key/key.h"
#include "tests/unit/check.h"
#include "tests/unit/worker/rig.h"
#include "worker/issuers/ca_open.h"

/* A CA as files have it. */
struct pair {
	char cert[8192], key[8192];
};

/* change: NULL, or what is wrong with it. */
static void
make_pair_but(struct pair *p, int64_t from, int64_t to, void (*change)(X509 *))
{
	struct arena *a = arena_new();
	unsigned char *der = NULL;
	struct secret *secret;
	EVP_PKEY *key;
	X509 *x;
	char *pem;
	int len;
	rc code;

	code = certbuild_root("Sub", from, to, &x, &key);
	CHECK_INT(code, RC_OK);
	if (change) {
		change(x);
		CHECK(X509_sign(x, key, EVP_sha256()) > 0);
	}
	len = i2d_X509(x, &der);
	code = cert_to_pem(a, der, (size_t)len, &pem);
	CHECK_INT(code, RC_OK);
	snprintf(p->cert, sizeof(p->cert), "%s", pem);
	code = key_to_pem(key, &secret);
	CHECK_INT(code, RC_OK);
	snprintf(p->key, sizeof(p->key), "%.*s", (int)secret_len(secret),
	    (const char *)secret_bytes(secret));
	secret_free(secret);
	OPENSSL_free(der);
	X509_free(x);
	EVP_PKEY_free(key);
	arena_free(a);
}

static void
make_pair(struct pair *p, int64_t from, int64_t to)
{
	make_pair_but(p, from, to, NULL);
}

static void
put_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	X509_EXTENSION_free(
	    X509_delete_ext(x, X509_get_ext_by_NID(x, nid, -1)));
	CHECK(e && X509_add_ext(x, e, -1) == 1);
	X509_EXTENSION_free(e);
}

static void
no_ca(X509 *x)
{
	put_extension(x, NID_basic_constraints, "critical,CA:FALSE");
}

static void
no_cert_sign(X509 *x)
{
	put_extension(x, NID_key_usage, "critical,cRLSign");
}

static void
no_subject(X509 *x)
{
	X509_NAME *none = X509_NAME_new();

	CHECK(X509_set_subject_name(x, none) == 1);
	X509_NAME_free(none);
}

static void
use_files(struct rig *r, char config[512])
{
	snprintf(config, 512,
	    "{\"ca_cert_path\":\"%s/ca.pem\",\"ca_key_path\":\"%s/ca.key\"}",
	    r->dir, r->dir);
	r->config = config;
}

/* Another certificate of the sub's key, signed by the root. */
static void
sign_pair(struct pair *sub, const struct pair *root)
{
	struct arena *a = arena_new();
	BIO *in = BIO_new_mem_buf(root->key, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	unsigned char *der = NULL;
	X509 *x, *above;
	char *pem;
	rc code;
	int len;

	code = cert_from_pem(sub->cert, strlen(sub->cert), &x);
	CHECK_INT(code, RC_OK);
	code = cert_from_pem(root->cert, strlen(root->cert), &above);
	CHECK_INT(code, RC_OK);
	/* Two CAs of one name are told apart by their keys. */
	CHECK(
	    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "O",
		MBSTRING_ASC, (const unsigned char *)"below", -1, -1, 0) == 1);
	CHECK(X509_set_issuer_name(x, X509_get_subject_name(above)) == 1);
	CHECK(X509_sign(x, key, EVP_sha256()) > 0);
	len = i2d_X509(x, &der);
	code = cert_to_pem(a, der, (size_t)len, &pem);
	CHECK_INT(code, RC_OK);
	snprintf(sub->cert, sizeof(sub->cert), "%s", pem);
	OPENSSL_free(der);
	X509_free(x);
	X509_free(above);
	EVP_PKEY_free(key);
	BIO_free(in);
	arena_free(a);
}

/* As a batch does: ask, wait, ask again. */
static rc
get(struct rig *r, const char *fingerprint, struct local_ca **out,
    const char **out_why)
{
	rc code = local_ca_get(r->cas, "iss-1", fingerprint, out, out_why);

	for (int i = 0; i < 100 && code == RC_BUSY; i++) {
		loop_sim_advance(r->loop, 10);
		code = local_ca_get(r->cas, "iss-1", NULL, out, out_why);
	}
	return code;
}

static void
fails_saying(struct rig *r, const char *words)
{
	struct local_ca *ca;
	const char *why;
	rc code;

	loop_sim_advance(r->loop, 1500); /* past the rest after a failure */
	code = get(r, NULL, &ca, &why);
	CHECK(code != RC_OK);
	if (!strstr(why, words))
		printf("  it says: %s\n", why);
	CHECK(strstr(why, words) != NULL);
}

static void
test_root_is_made_once_and_read_back(void)
{
	struct rig *r = rig_new();
	struct local_ca *ca, *again;
	const char *why;
	char first[65];
	rc code;

	r->config = "{\"ca_common_name\":\"My CA\"}";
	code = get(r, "", &ca, &why);
	CHECK_INT(code, RC_OK);
	CHECK_STR(ca->fingerprint, r->fingerprint);
	CHECK_STR(ca->chain_pem, r->cert_pem);
	CHECK(
	    ca->not_after_unix - ca->not_before_unix == (int64_t)3650 * 86400);
	CHECK(strncmp(r->key_sealed, "\\x03", 4) == 0);
	CHECK(strstr(r->key_sealed, "PRIVATE") == NULL);
	snprintf(first, sizeof(first), "%s", ca->fingerprint);
	code = get(r, first, &again, &why);
	CHECK_INT(code, RC_OK);
	CHECK(again == ca);
	local_ca_unref(again);
	/* Another start of the worker finds the same root. */
	local_ca_forget(r->cas, "iss-1");
	code = get(r, first, &again, &why);
	CHECK_INT(code, RC_OK);
	CHECK(again != ca);
	CHECK_STR(again->fingerprint, first);
	local_ca_unref(again);
	local_ca_unref(ca); /* outlived its place in the store */
	rig_free(r);
}

static void
test_no_root_under_a_weak_passphrase(void)
{
	struct arena *a = arena_new();
	struct ca_root root = {0};
	const char *why = "";
	struct sealer *weak;

	CHECK_INT(sealer_new("ababababababababababababababababab", &weak),
	    RC_OK);
	CHECK_INT(ca_make_root(a, weak, "iss-1", "My CA", &root, &why),
	    RC_INVALID);
	CHECK(strstr(why, "CERTCTL_CA_ENCRYPTION_KEY: it is too easy") != NULL);
	CHECK(root.key_sealed == NULL);
	sealer_free(weak);
	arena_free(a);
}

/* Between our look and our store another worker stored its root. */
static void
test_the_faster_root_counts(void)
{
	struct rig *r = rig_new(), kept;
	struct local_ca *ca;
	const char *why;
	rc code;

	code = get(r, "", &ca, &why);
	CHECK_INT(code, RC_OK);
	local_ca_unref(ca);
	kept = *r;
	local_ca_forget(r->cas, "iss-1");
	r->cert_pem[0] = r->key_sealed[0] = r->fingerprint[0] = '\0';
	r->faster = &kept;
	code = get(r, "", &ca, &why);
	CHECK_INT(code, RC_OK);
	CHECK_STR(ca->fingerprint, kept.fingerprint);
	local_ca_unref(ca);
	rig_free(r);
}

static void
test_changed_rows_are_refused(void)
{
	struct rig *r = rig_new();
	struct local_ca *ca;
	const char *why;
	rc code;

	code = get(r, "", &ca, &why);
	CHECK_INT(code, RC_OK);
	local_ca_unref(ca);
	local_ca_forget(r->cas, "iss-1");
	r->key_sealed[80] = r->key_sealed[80] == '0' ? '1' : '0';
	fails_saying(r, "CERTCTL_CA_ENCRYPTION_KEY");
	local_ca_forget(r->cas, "iss-1");
	r->key_sealed[0] = '\0';
	fails_saying(r, "was a sub-CA from files");
	rig_free(r);
}

static void
test_bad_configuration(void)
{
	struct rig *r = rig_new();

	r->config = "{\"ca_cert_path\":\"/x\"}";
	fails_saying(r, "both, or neither");
	r->config = "{\"ca_cert_path\":5}";
	fails_saying(r, "configuration");
	r->config = "{\"ca_common_name\":\"a\\u202eb\"}";
	fails_saying(r, "ca_common_name");
	r->config = "{}";
	r->type = "Elsewhere";
	fails_saying(r, "Elsewhere");
	rig_free(r);
}

static void
test_sub_ca_and_its_chain(void)
{
	struct rig *r = rig_new();
	struct pair sub, root;
	char config[512], both[32768];
	int64_t now = time(NULL);
	struct local_ca *ca;
	const char *why;
	rc code;

	use_files(r, config);
	make_pair(&sub, now - 100, now + 86400);
	make_pair(&root, now - 200, now + 3600);
	sign_pair(&sub, &root);
	snprintf(both, sizeof(both), "notes\n%s%s%s", sub.cert, sub.key,
	    root.cert);
	(void)rig_write(r, "ca.pem", both);
	(void)rig_write(r, "ca.key", sub.key);
	code = get(r, "", &ca, &why);
	CHECK_INT(code, RC_OK);
	snprintf(both, sizeof(both), "%s%s", sub.cert, root.cert);
	CHECK_STR(ca->chain_pem, both); /* neither notes nor key */
	CHECK_STR(r->chain_pem, both);
	CHECK_STR(r->cert_pem, sub.cert);
	CHECK_STR(r->fingerprint, ca->fingerprint);
	CHECK(strstr(r->chain_pem, "PRIVATE") == NULL);
	CHECK_INT(ca->not_after_unix, now + 3600); /* the root's */
	local_ca_unref(ca);
	rig_free(r);
}

static void
test_changed_files_are_loaded(void)
{
	struct rig *r = rig_new();
	struct pair old, new;
	char config[512], first[65];
	int64_t now = time(NULL);
	struct local_ca *ca;
	const char *why;
	rc code;

	use_files(r, config);
	make_pair(&old, now - 200, now + 86400);
	make_pair(&new, now - 100, now + 86400);
	(void)rig_write(r, "ca.pem", old.cert);
	(void)rig_write(r, "ca.key", old.key);
	code = get(r, "", &ca, &why);
	CHECK_INT(code, RC_OK);
	snprintf(first, sizeof(first), "%s", ca->fingerprint);
	local_ca_unref(ca);
	/* Half replaced: the old CA goes on. */
	(void)rig_write(r, "ca.pem", new.cert);
	code = get(r, first, &ca, &why);
	CHECK_INT(code, RC_OK);
	CHECK_STR(ca->fingerprint, first);
	local_ca_unref(ca);
	loop_sim_advance(r->loop, 1500);
	(void)rig_write(r, "ca.key", new.key);
	code = get(r, first, &ca, &why);
	CHECK_INT(code, RC_OK);
	CHECK(strcmp(ca->fingerprint, first) != 0);
	CHECK_STR(ca->fingerprint, r->fingerprint);
	local_ca_unref(ca);
	/* A host that still has the old files must not sign with them. */
	(void)rig_write(r, "ca.pem", old.cert);
	(void)rig_write(r, "ca.key", old.key);
	local_ca_forget(r->cas, "iss-1");
	fails_saying(r, "is older than the certificate another worker");
	rig_free(r);
}

static void
test_bad_files(void)
{
	struct rig *r = rig_new();
	struct pair good, other, past;
	char config[512];
	const char *path;
	int64_t now = time(NULL);
	static const struct {
		void (*change)(X509 *);
		int64_t from;
		const char *words;
	} wrong[] = {
	    {NULL, 3600, "is not valid yet"},
	    {no_ca, -100, "is not a CA certificate"},
	    {no_cert_sign, -100, "no keyCertSign"},
	    {no_subject, -100, "has no subject"},
	};

	use_files(r, config);
	make_pair(&good, now - 100, now + 86400);
	make_pair(&other, now - 100, now + 86400);
	make_pair(&past, now - 100, now - 50);
	fails_saying(r, "ca.pem cannot be read");
	(void)rig_write(r, "ca.pem", "rubbish");
	fails_saying(r, "ca.pem is not a certificate");
	(void)rig_write(r, "ca.pem", good.cert);
	fails_saying(r, "ca.key cannot be read");
	(void)rig_write(r, "ca.key", "rubbish");
	fails_saying(r, "ca.key is not a private key");
	(void)rig_write(r, "ca.key", other.key);
	fails_saying(r, "does not belong to its private key");
	path = rig_write(r, "ca.key", good.key);
	CHECK(chmod(path, 0644) == 0);
	fails_saying(r, "can be read by others");
	CHECK(chmod(path, 0600) == 0);
	(void)rig_write(r, "ca.pem", past.cert);
	(void)rig_write(r, "ca.key", past.key);
	fails_saying(r, "has expired");
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		make_pair_but(&past, now + wrong[i].from, now + 86400,
		    wrong[i].change);
		(void)rig_write(r, "ca.pem", past.cert);
		(void)rig_write(r, "ca.key", past.key);
		fails_saying(r, wrong[i].words);
	}
	rig_free(r);
}

/* An issuer whose root lies in the database does not turn into a sub-CA. */
static void
test_root_does_not_become_sub_ca(void)
{
	struct rig *r = rig_new();
	struct pair sub;
	char config[512];
	int64_t now = time(NULL);
	struct local_ca *ca;
	const char *why;
	rc code;

	code = get(r, "", &ca, &why);
	CHECK_INT(code, RC_OK);
	local_ca_unref(ca);
	local_ca_forget(r->cas, "iss-1");
	use_files(r, config);
	make_pair(&sub, now - 100, now + 86400);
	(void)rig_write(r, "ca.pem", sub.cert);
	(void)rig_write(r, "ca.key", sub.key);
	fails_saying(r, "make another issuer");
	rig_free(r);
}

static void
test_leaf_certificate_is_no_ca(void)
{
	struct rig *r = rig_new();
	struct arena *a = arena_new();
	struct ca_material m;
	const char *why = "";
	char config[512];
	rc code;

	/* A certificate the rig's own CA issued, as the CA's file. */
	use_files(r, config);
	r->config = "{}";
	(void)rig_add_job(r);
	rig_issue(r); /* makes the CA, releases */
	rig_issue(r);
	CHECK(r->jobs[0].is_completed);
	(void)rig_write(r, "ca.key", "x");
	{
		char cert[512], key[512];
		struct pair p;

		make_pair(&p, time(NULL) - 9, time(NULL) + 99);
		snprintf(cert, sizeof(cert), "%s",
		    rig_write(r, "ca.pem", r->jobs[0].pem));
		snprintf(key, sizeof(key), "%s", rig_write(r, "ca.key", p.key));
		code = ca_open_files(a, cert, key, &m, &why);
	}
	CHECK(code != RC_OK);
	CHECK(strstr(why, "is not a CA certificate") != NULL);
	arena_free(a);
	rig_free(r);
}

static void
no_tls(X509 *x)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage,
	    "emailProtection");

	CHECK(e && X509_add_ext(x, e, -1) == 1);
	X509_EXTENSION_free(e);
}

/* What it issued is revoked by a list of its own, whatever may be said against
 * its issuing more. */
static void
test_former_key_need_not_issue(void)
{
	struct rig *r = rig_new();
	struct arena *a = arena_new();
	struct ca_material m = {0};
	int64_t now = time(NULL);
	const char *why = "";
	char cert[512], key[512];
	struct pair p;
	rc code;

	make_pair_but(&p, now - 100, now + 86400, no_tls);
	snprintf(cert, sizeof(cert), "%s", rig_write(r, "ca.pem", p.cert));
	snprintf(key, sizeof(key), "%s", rig_write(r, "ca.key", p.key));
	code = ca_open_files(a, cert, key, &m, &why);
	CHECK_INT(code, RC_INVALID);
	CHECK(strstr(why, "can issue nothing") != NULL);
	CHECK(m.builder == NULL);
	code = ca_open_former(a, p.cert, p.cert,
	    (const char *const[]){key, NULL}, &m, &why);
	CHECK_INT(code, RC_OK);
	CHECK_INT(m.info.not_after_unix, now + 86400);
	certbuild_free(m.builder);
	arena_free(a);
	rig_free(r);
}

CHECK_MAIN(CHECK_ROW(test_root_is_made_once_and_read_back),
    CHECK_ROW(test_no_root_under_a_weak_passphrase),
    CHECK_ROW(test_the_faster_root_counts),
    CHECK_ROW(test_changed_rows_are_refused), CHECK_ROW(test_bad_configuration),
    CHECK_ROW(test_sub_ca_and_its_chain),
    CHECK_ROW(test_changed_files_are_loaded), CHECK_ROW(test_bad_files),
    CHECK_ROW(test_root_does_not_become_sub_ca),
    CHECK_ROW(test_leaf_certificate_is_no_ca),
    CHECK_ROW(test_former_key_need_not_issue))
