#include "common/pki/key/envelope.h"

#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/enc.h"
#include "tests/unit/check.h"

#define TAG_LEN 16

static const char place[] = "DigiCert:api_key";
static const char text[] = "dc-0123456789-key\nof two lines";

/* Key and certificate in one file, as issuer-secrets.sh makes them. */
static void
make_pair(const char *path, EVP_PKEY *key)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	FILE *f;
	int fd;

	CHECK(X509_set_version(x, 2) == 1);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"secrets", -1, -1, 0);
	X509_set_issuer_name(x, name);
	X509_set_pubkey(x, key);
	CHECK(X509_sign(x, key, EVP_sha256()) > 0);
	fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	f = fdopen(fd, "w");
	CHECK(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1);
	CHECK(PEM_write_X509(f, x) == 1);
	CHECK_INT(fclose(f), 0);
	X509_free(x);
}

struct rig {
	char dir[32];
	char ours[48], others[48], rsa[48];
	struct arena *a;
	X509 *to;
	struct envelope_keys *keys, *strangers;
};

static void
rig_up(struct rig *r)
{
	const char *ours[] = {NULL, NULL, NULL}, *others[] = {NULL, NULL};
	EVP_PKEY *key;
	const char *why;

	snprintf(r->dir, sizeof(r->dir), "/tmp/envelope.XXXXXX");
	CHECK(mkdtemp(r->dir) != NULL);
	snprintf(r->ours, sizeof(r->ours), "%s/ours", r->dir);
	snprintf(r->others, sizeof(r->others), "%s/others", r->dir);
	snprintf(r->rsa, sizeof(r->rsa), "%s/rsa", r->dir);
	key = EVP_EC_gen("P-256");
	make_pair(r->ours, key);
	EVP_PKEY_free(key);
	key = EVP_EC_gen("P-256");
	make_pair(r->others, key);
	EVP_PKEY_free(key);
	key = EVP_RSA_gen(2048);
	make_pair(r->rsa, key);
	EVP_PKEY_free(key);
	r->a = arena_new();
	/* During a rotation workers hold both. */
	ours[0] = r->others;
	ours[1] = r->ours;
	others[0] = r->others;
	CHECK_INT(envelope_keys_new(ours, &r->keys), RC_OK);
	CHECK_INT(envelope_keys_new(others, &r->strangers), RC_OK);
	CHECK_INT(envelope_cert_read(r->a, r->ours, &r->to, &why), RC_OK);
}

static void
rig_down(struct rig *r)
{
	X509_free(r->to);
	envelope_keys_free(r->keys);
	envelope_keys_free(r->strangers);
	arena_free(r->a);
	unlink(r->ours);
	unlink(r->others);
	unlink(r->rsa);
	rmdir(r->dir);
}

static void
test_round_trip(void)
{
	struct envelope e, again;
	struct secret *s;
	struct rig r;

	rig_up(&r);
	CHECK_INT(envelope_seal(r.a, r.to, place, text, &e), RC_OK);
	CHECK_INT(envelope_seal(r.a, r.to, place, text, &again), RC_OK);
	CHECK(strcmp(e.cms, again.cms) != 0);
	CHECK_STR(e.to, again.to);
	CHECK_INT(envelope_open(r.keys, place, &e, &s), RC_OK);
	CHECK_INT(secret_len(s), strlen(text));
	CHECK(memcmp(secret_bytes(s), text, strlen(text)) == 0);
	secret_free(s);
	rig_down(&r);
}

static void
test_it_opens_nowhere_else(void)
{
	struct secret *s = NULL;
	struct envelope e;
	struct rig r;

	rig_up(&r);
	CHECK_INT(envelope_seal(r.a, r.to, place, text, &e), RC_OK);
	CHECK_INT(envelope_open(r.strangers, place, &e, &s), RC_NOT_FOUND);
	CHECK_INT(envelope_open(NULL, place, &e, &s), RC_NOT_FOUND);
	CHECK_INT(envelope_open(r.keys, "DigiCert:base_url", &e, &s),
	    RC_CRYPTO);
	CHECK_INT(envelope_open(r.keys, "DigiCert:api_ke", &e, &s), RC_CRYPTO);
	CHECK(s == NULL);
	rig_down(&r);
}

static rc
open_der(struct rig *r, const struct envelope *e, const uint8_t *der,
    size_t len)
{
	struct envelope bad = {.cms = enc_base64(r->a, der, len), .to = e->to};
	struct secret *s = NULL;
	rc ret = envelope_open(r->keys, place, &bad, &s);

	secret_free(s);
	return ret;
}

/* Whatever bit is another, of the tag at the end, the ciphertext before it and
 * the wrapped key further to the front. */
static void
test_changed(void)
{
	size_t len, sealed = strlen(place) + 1 + strlen(text);
	struct secret *s = NULL;
	struct envelope e;
	struct rig r;
	uint8_t *der;

	rig_up(&r);
	CHECK_INT(envelope_seal(r.a, r.to, place, text, &e), RC_OK);
	CHECK_INT(enc_unbase64(r.a, e.cms, strlen(e.cms), &der, &len), RC_OK);
	CHECK_INT(open_der(&r, &e, der, len), RC_OK);
	for (size_t i = 1; i <= TAG_LEN + 2 + sealed; i++) {
		der[len - i] ^= 1;
		CHECK_INT(open_der(&r, &e, der, len), RC_CRYPTO);
		der[len - i] ^= 1;
	}
	/* A shorter tag would be easier to guess. */
	der[len - TAG_LEN - 1] = TAG_LEN - 1;
	CHECK_INT(open_der(&r, &e, der, len - 1), RC_CRYPTO);
	e.cms = "";
	CHECK_INT(envelope_open(r.keys, place, &e, &s), RC_CRYPTO);
	e.cms = "!";
	CHECK_INT(envelope_open(r.keys, place, &e, &s), RC_CRYPTO);
	rig_down(&r);
}

static void
refused(const char *path)
{
	const char *paths[] = {path, NULL};
	struct envelope_keys *keys = NULL;

	CHECK_INT(envelope_keys_new(paths, &keys), RC_INVALID);
	CHECK(keys == NULL);
}

static void
test_files(void)
{
	struct envelope_keys *none;
	const char *why = "";
	X509 *x;
	struct rig r;

	rig_up(&r);
	CHECK_INT(envelope_keys_new(NULL, &none), RC_OK);
	envelope_keys_free(none);
	envelope_keys_free(NULL);
	refused(r.rsa);
	refused("/nowhere");
	refused("/dev/null");
	CHECK_INT(chmod(r.ours, 0644), 0);
	refused(r.ours);
	CHECK_INT(envelope_cert_read(r.a, r.rsa, &x, &why), RC_INVALID);
	CHECK(strstr(why, "EC key") != NULL);
	CHECK_INT(envelope_cert_read(r.a, "/nowhere", &x, &why), RC_IO);
	rig_down(&r);
}

/* What was sealed to a key that is on its way out, to the first one. */
static void
test_resealed(void)
{
	struct envelope e, again, third;
	struct secret *s;
	struct rig r;

	rig_up(&r);
	CHECK_INT(envelope_seal(r.a, r.to, place, text, &e), RC_OK);
	CHECK(!envelope_is_to_first(r.keys, e.to));
	CHECK_INT(envelope_reseal(r.a, r.keys, place, &e, &again), RC_OK);
	CHECK(envelope_is_to_first(r.keys, again.to));
	CHECK(strcmp(e.to, again.to) != 0);
	/* Who has the first alone opens it; it is the same, at the same place.
	 */
	CHECK_INT(envelope_open(r.strangers, place, &again, &s), RC_OK);
	CHECK_INT(secret_len(s), strlen(text));
	CHECK(memcmp(secret_bytes(s), text, strlen(text)) == 0);
	secret_free(s);
	s = NULL;
	CHECK_INT(envelope_open(r.strangers, "DigiCert:base_url", &again, &s),
	    RC_CRYPTO);
	CHECK(s == NULL);
	/* Again it is another text, to the same one. */
	CHECK_INT(envelope_reseal(r.a, r.keys, place, &again, &third), RC_OK);
	CHECK_STR(third.to, again.to);
	CHECK(strcmp(third.cms, again.cms) != 0);
	rig_down(&r);
}

static void
test_not_resealed(void)
{
	struct envelope e, out = {NULL, NULL};
	struct rig r;

	rig_up(&r);
	CHECK_INT(envelope_seal(r.a, r.to, place, text, &e), RC_OK);
	CHECK_INT(envelope_reseal(r.a, r.strangers, place, &e, &out),
	    RC_NOT_FOUND);
	CHECK_INT(envelope_reseal(r.a, r.keys, "DigiCert:base_url", &e, &out),
	    RC_CRYPTO);
	e.cms = "no base64";
	CHECK_INT(envelope_reseal(r.a, r.keys, place, &e, &out), RC_CRYPTO);
	CHECK(out.cms == NULL && out.to == NULL);
	rig_down(&r);
}

CHECK_MAIN(CHECK_ROW(test_resealed), CHECK_ROW(test_not_resealed),
    CHECK_ROW(test_round_trip), CHECK_ROW(test_it_opens_nowhere_else),
    CHECK_ROW(test_changed), CHECK_ROW(test_files))
