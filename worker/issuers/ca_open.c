#include "worker/issuers/ca_open.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/base/file.h"
#include "common/base/secret.h"
#include "common/base/weak.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/key/key.h"
#include "worker/issuers/ca_proof.h"

#define PEM_LABEL "CERTIFICATE"
#define CHAIN_FILE_MAX ((size_t)256 * 1024)
#define SEALED_MAX 65536
#define ROOT_SECONDS ((int64_t)3650 * 86400)
/* So that a host whose clock is a little behind takes it at once. */
#define ROOT_BACKDATE_SECONDS 300

static rc
refuse(struct arena *a, rc code, const char **out_why, const char *where,
    const char *what)
{
	*out_why = arena_printf(a, "%s %s", where, what);
	return code;
}

/* --- checks --- */

/* Each condition has its own words; certbuild_new has the last one. */
static rc
check_ca(struct arena *a, X509 *x, EVP_PKEY *key, const struct cert_info *info,
    const char *where, const char **out_why)
{
	int64_t now = clock_wall_us() / 1000000;
	rc ret;

	/* First, since OpenSSL calls such a one no CA at all. */
	if ((X509_get_extension_flags(x) & EXFLAG_CA) != 0 &&
	    (X509_get_key_usage(x) & KU_KEY_CERT_SIGN) == 0)
		return refuse(a, RC_INVALID, out_why, where,
		    "may not sign certificates (no keyCertSign)");
	if (X509_check_ca(x) != 1)
		return refuse(a, RC_INVALID, out_why, where,
		    "is not a CA certificate");
	if (X509_NAME_entry_count(X509_get_subject_name(x)) == 0)
		return refuse(a, RC_INVALID, out_why, where,
		    "has no subject, by which clients find it");
	if (now < info->not_before_unix)
		return refuse(a, RC_INVALID, out_why, where,
		    "is not valid yet");
	if (now >= info->not_after_unix)
		return refuse(a, RC_INVALID, out_why, where, "has expired");
	ret = cert_match_key(x, key);
	if (ret != RC_OK)
		return refuse(a, ret, out_why, where,
		    "does not belong to its private key");
	return RC_OK;
}

/* Of one that is to issue.  What it issued ends with the first of those above
 * it. */
static rc
prove(struct arena *a, const char *where, struct ca_material *out,
    const char **out_why)
{
	const char *why = "";
	rc ret;

	ret = ca_proof(a, out->builder, out->chain_pem,
	    &out->info.not_after_unix, &why);
	if (ret == RC_OK)
		return RC_OK;
	certbuild_free(out->builder);
	out->builder = NULL;
	return refuse(a, ret, out_why, where, why);
}

static rc
open_pair(struct arena *a, X509 *x, EVP_PKEY *key, const char *where,
    struct ca_material *out, const char **out_why)
{
	rc ret;

	ret = cert_read(a, x, &out->info);
	if (ret == RC_OK)
		ret = cert_key_id(x, out->key_id);
	if (ret != RC_OK)
		return refuse(a, ret, out_why, where, "cannot be read");
	ret = check_ca(a, x, key, &out->info, where, out_why);
	if (ret != RC_OK)
		return ret;
	ret = certbuild_new(x, key, &out->builder);
	if (ret != RC_OK)
		return refuse(a, ret, out_why, where,
		    "cannot sign: its key is of a kind or size not supported, "
		    "or does not belong to it");
	return RC_OK;
}

/* --- the rows of a root --- */

static rc
unhex_sealed(struct arena *a, const char *text, uint8_t **out, size_t *out_len)
{
	size_t len = strlen(text);
	uint8_t *blob;
	rc ret;

	if (len < 2 || len % 2 != 0 || len > SEALED_MAX ||
	    strncmp(text, "\\x", 2) != 0)
		return RC_INVALID;
	len = (len - 2) / 2;
	blob = arena_alloc(a, len + 1);
	ret = enc_unhex(text + 2, blob, len);
	if (ret != RC_OK)
		return ret;
	*out = blob;
	*out_len = len;
	return RC_OK;
}

rc
ca_open_key(struct arena *a, struct sealer *sealer, const char *issuer_id,
    const char *key_sealed, EVP_PKEY **out, const char **out_why)
{
	const char *aad = arena_printf(a, "ca_keys:%s", issuer_id);
	struct secret *pem;
	uint8_t *blob;
	size_t len;
	rc ret;

	ret = unhex_sealed(a, key_sealed, &blob, &len);
	if (ret == RC_OK)
		ret = unseal(sealer, aad, blob, len, &pem);
	if (ret != RC_OK)
		return refuse(a, RC_IO, out_why, "the CA's key",
		    "does not open: CERTCTL_CA_ENCRYPTION_KEY is not the one "
		    "it was sealed under, or the row was changed");
	ret = key_from_pem(secret_bytes(pem), secret_len(pem), out);
	secret_free(pem);
	if (ret != RC_OK)
		return refuse(a, ret, out_why, "the CA's key",
		    "is not a private key");
	return RC_OK;
}

#define STORED "the CA's certificate in the database"

/* Of a certificate that stands in the database, or is to. */
static rc
open_stored(struct arena *a, const char *cert_pem, const char *chain_pem,
    EVP_PKEY *key, const char *where, struct ca_material *out,
    const char **out_why)
{
	X509 *x;
	rc ret;

	ret = cert_from_pem(cert_pem, strlen(cert_pem), &x);
	if (ret != RC_OK)
		return refuse(a, ret, out_why, where, "cannot be read");
	out->cert_pem = arena_strdup(a, cert_pem);
	out->chain_pem = arena_strdup(a, chain_pem);
	ret = open_pair(a, x, key, where, out, out_why);
	X509_free(x);
	return ret;
}

rc
ca_open_rows(struct arena *a, struct sealer *sealer, const char *issuer_id,
    const char *cert_pem, const char *chain_pem, const char *key_sealed,
    struct ca_material *out, const char **out_why)
{
	EVP_PKEY *key;
	rc ret;

	ret = ca_open_key(a, sealer, issuer_id, key_sealed, &key, out_why);
	if (ret != RC_OK)
		return ret;
	ret = open_stored(a, cert_pem, chain_pem, key, STORED, out, out_why);
	EVP_PKEY_free(key);
	return ret == RC_OK ? prove(a, STORED, out, out_why) : ret;
}

rc
ca_open_with(struct arena *a, const char *cert_pem, const char *chain_pem,
    EVP_PKEY *key, const char *where, struct ca_material *out,
    const char **out_why)
{
	rc ret;

	*out = (struct ca_material){0};
	ret = open_stored(a, cert_pem, chain_pem, key, where, out, out_why);
	return ret == RC_OK ? prove(a, where, out, out_why) : ret;
}

/* --- the files of a sub-CA --- */

/* All certificates of the file and nothing else of it: people keep keys and
 * notes beside them. */
static rc
read_chain(struct arena *a, const char *text, size_t len,
    struct ca_material *out)
{
	const char *all = "";
	struct span der, rest = {(const uint8_t *)text, len};
	char *pem;
	rc ret;

	for (;;) {
		ret = pem_read(a, PEM_LABEL, (const char *)rest.p, rest.len,
		    &der, &rest);
		if (ret == RC_NOT_FOUND && out->cert_pem)
			break;
		if (ret != RC_OK)
			return ret;
		ret = cert_to_pem(a, der.p, der.len, &pem);
		if (ret != RC_OK)
			return ret;
		if (!out->cert_pem)
			out->cert_pem = pem;
		all = arena_printf(a, "%s%s", all, pem);
	}
	out->chain_pem = all;
	return RC_OK;
}

rc
ca_read_key(struct arena *a, const char *path, EVP_PKEY **out,
    const char **out_why)
{
	struct secret *pem;
	rc ret;

	ret = secret_new_from_file(path, &pem);
	if (ret == RC_INVALID)
		return refuse(a, RC_IO, out_why, path,
		    "can be read by others: give it mode 0600");
	if (ret != RC_OK)
		return refuse(a, RC_IO, out_why, path,
		    arena_printf(a,
			"cannot be read, as a file of this user: "
			"%s",
			strerror(errno)));
	ret = key_from_pem(secret_bytes(pem), secret_len(pem), out);
	secret_free(pem);
	if (ret != RC_OK)
		return refuse(a, ret, out_why, path,
		    "is not a private key in PEM without a passphrase");
	return RC_OK;
}

static rc
read_certificate(struct arena *a, const char *path, X509 **out,
    struct ca_material *material, const char **out_why)
{
	char *text;
	size_t len;
	rc ret;

	ret = file_read(a, path, CHAIN_FILE_MAX, &text, &len);
	if (ret == RC_TOO_LARGE)
		return refuse(a, RC_INVALID, out_why, path,
		    "is larger than 256 KiB");
	if (ret != RC_OK)
		return refuse(a, RC_IO, out_why, path,
		    arena_printf(a, "cannot be read: %s", strerror(errno)));
	ret = read_chain(a, text, len, material);
	if (ret == RC_OK)
		ret = cert_from_pem(material->cert_pem,
		    strlen(material->cert_pem), out);
	if (ret != RC_OK)
		return refuse(a, RC_INVALID, out_why, path,
		    "is not a certificate in PEM");
	return RC_OK;
}

rc
ca_open_files(struct arena *a, const char *cert_path, const char *key_path,
    struct ca_material *out, const char **out_why)
{
	EVP_PKEY *key;
	X509 *x;
	rc ret;

	*out = (struct ca_material){0};
	ret = read_certificate(a, cert_path, &x, out, out_why);
	if (ret != RC_OK)
		return ret;
	ret = ca_read_key(a, key_path, &key, out_why);
	if (ret != RC_OK) {
		X509_free(x);
		return ret;
	}
	ret = open_pair(a, x, key, cert_path, out, out_why);
	X509_free(x);
	EVP_PKEY_free(key);
	return ret == RC_OK ? prove(a, cert_path, out, out_why) : ret;
}

rc
ca_open_former(struct arena *a, const char *cert_pem, const char *chain_pem,
    const char *const *key_paths, struct ca_material *out, const char **out_why)
{
	const char *why = "no file is named for it";
	EVP_PKEY *key;
	rc ret;

	for (size_t i = 0; key_paths[i]; i++) {
		ret = ca_read_key(a, key_paths[i], &key, &why);
		if (ret != RC_OK)
			continue;
		ret =
		    open_stored(a, cert_pem, chain_pem, key, STORED, out, &why);
		EVP_PKEY_free(key);
		if (ret == RC_OK)
			return RC_OK;
	}
	*out_why = arena_printf(a,
	    "the key that signed before is needed for the revocation list of "
	    "what it signed; keep its file and name it in former_key_paths: %s",
	    why);
	return RC_INVALID;
}

/* --- a new root --- */

static rc
root_pem(struct arena *a, X509 *x, struct ca_root *out)
{
	char *pem;
	rc ret;

	ret = cert_read(a, x, &out->info);
	if (ret == RC_OK)
		ret = cert_key_id(x, out->key_id);
	if (ret == RC_OK)
		ret = cert_x509_pem(a, x, &pem);
	if (ret == RC_OK)
		out->cert_pem = pem;
	return ret;
}

rc
ca_seal_key(struct arena *a, struct sealer *sealer, const char *issuer_id,
    const EVP_PKEY *key, const char **out)
{
	const char *aad = arena_printf(a, "ca_keys:%s", issuer_id);
	struct secret *pem;
	uint8_t *blob;
	char *hex;
	size_t len;
	rc ret;

	ret = key_to_pem(key, &pem);
	if (ret != RC_OK)
		return ret;
	ret = seal(sealer, a, aad, secret_bytes(pem), secret_len(pem), &blob,
	    &len);
	secret_free(pem);
	if (ret != RC_OK)
		return ret;
	hex = arena_alloc(a, 2 * len + 3);
	hex[0] = '\\';
	hex[1] = 'x';
	enc_hex(blob, len, hex + 2);
	*out = hex;
	return RC_OK;
}

rc
ca_make_root(struct arena *a, struct sealer *sealer, const char *issuer_id,
    const char *common_name, struct ca_root *out, const char **out_why)
{
	int64_t from = clock_wall_us() / 1000000 - ROOT_BACKDATE_SECONDS;
	EVP_PKEY *key;
	X509 *x;
	rc ret;

	if (sealer_is_weak(sealer))
		return refuse(a, RC_INVALID, out_why,
		    "CERTCTL_CA_ENCRYPTION_KEY:", WEAK_WHY);
	ret = certbuild_root(common_name, from, from + ROOT_SECONDS, &x, &key);
	if (ret != RC_OK)
		return refuse(a, ret, out_why, "ca_common_name",
		    "is no name for a CA: 1 to 64 characters, none of them a "
		    "control or direction character");
	ret = root_pem(a, x, out);
	if (ret == RC_OK)
		ret = ca_seal_key(a, sealer, issuer_id, key, &out->key_sealed);
	X509_free(x);
	EVP_PKEY_free(key);
	if (ret != RC_OK)
		return refuse(a, ret, out_why, "the new root",
		    "could not be encoded");
	return RC_OK;
}

/* --- stamps --- */

void
ca_stamp_take(const char *path, struct ca_stamp *out)
{
	struct stat st;

	*out = (struct ca_stamp){0};
	if (stat(path, &st) < 0)
		return;
	*out = (struct ca_stamp){
	    .exists = true,
	    .dev = st.st_dev,
	    .ino = st.st_ino,
	    .size = st.st_size,
	    .mtime = st.st_mtim,
	    .ctime = st.st_ctim,
	};
}

static bool
time_equal(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool
ca_stamp_equal(const struct ca_stamp *a, const struct ca_stamp *b)
{
	return a->exists == b->exists && a->dev == b->dev && a->ino == b->ino &&
	       a->size == b->size && time_equal(&a->mtime, &b->mtime) &&
	       time_equal(&a->ctime, &b->ctime);
}
