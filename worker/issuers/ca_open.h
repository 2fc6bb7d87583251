/*
 * ca_open: a CA's certificate and key made ready to sign, from wherever they
 * come.  Nothing here waits or asks the database.
 */
#ifndef WORKER_ISSUERS_CA_OPEN_H
#define WORKER_ISSUERS_CA_OPEN_H

#include <stdbool.h>
#include <sys/stat.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/cert/cert.h"
#include "common/pki/cert/certbuild.h"
#include "common/pki/key/seal.h"

/* The certificate of a CA with its key, both checked. */
struct ca_material {
	struct certbuild *builder;
	struct cert_info info; /* in the arena; its not_after_unix is that of
				* the first to end of the chain */
	char key_id[65];       /* cert_key_id */
	const char *cert_pem;  /* arena */
	const char *chain_pem; /* arena */
};

/* Everything but the builder lives in the arena; free that by certbuild_free.
 * All return RC_INVALID or RC_CRYPTO, or RC_IO where it is this host (a file
 * that cannot be read, another passphrase), with *out_why (arena) for people.
 */

/* From the two files of a sub-CA, by their paths in the configuration. */
rc ca_open_files(struct arena *a, const char *cert_path, const char *key_path,
    struct ca_material *out, const char **out_why) MUST_CHECK;

/* From the rows of a self-signed root; key_sealed is '\x...'. */
rc ca_open_rows(struct arena *a, struct sealer *sealer, const char *issuer_id,
    const char *cert_pem, const char *chain_pem, const char *key_sealed,
    struct ca_material *out, const char **out_why) MUST_CHECK;

/* From the rows of a sub-CA that was given another key since: its key is in
 * one of these files (NULL-terminated), or nowhere.  It issues nothing any
 * more, so it need not prove that it could: its revocation list goes on. */
rc ca_open_former(struct arena *a, const char *cert_pem, const char *chain_pem,
    const char *const *key_paths, struct ca_material *out,
    const char **out_why) MUST_CHECK;

/* A certificate with its key, of CAs that are to issue; where: what it is
 * called in *out_why. */
rc ca_open_with(struct arena *a, const char *cert_pem, const char *chain_pem,
    EVP_PKEY *key, const char *where, struct ca_material *out,
    const char **out_why) MUST_CHECK;

/* A key by itself, which the caller frees: as it was sealed for this issuer, or
 * in a file; and the sealing, as '\x...'. */
rc ca_open_key(struct arena *a, struct sealer *sealer, const char *issuer_id,
    const char *key_sealed, EVP_PKEY **out, const char **out_why) MUST_CHECK;
rc ca_read_key(struct arena *a, const char *path, EVP_PKEY **out,
    const char **out_why) MUST_CHECK;
rc ca_seal_key(struct arena *a, struct sealer *sealer, const char *issuer_id,
    const EVP_PKEY *key, const char **out) MUST_CHECK;

/* A new self-signed root; nothing is signed with it before it was stored and
 * read back. */
struct ca_root {
	const char *cert_pem;   /* arena, as all */
	const char *key_sealed; /* '\x...' */
	char key_id[65];        /* cert_key_id */
	struct cert_info info;
};
rc ca_make_root(struct arena *a, struct sealer *sealer, const char *issuer_id,
    const char *common_name, struct ca_root *out,
    const char **out_why) MUST_CHECK;

/* What tells that a file was replaced or rewritten. */
struct ca_stamp {
	bool exists;
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};
void ca_stamp_take(const char *path, struct ca_stamp *out);
bool ca_stamp_equal(const struct ca_stamp *a, const struct ca_stamp *b);

#endif
