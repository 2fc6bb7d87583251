/*
 * local_ca: the CAs this worker signs with itself.
 *
 * A CA is either a self-signed root, whose key lies sealed in the database,
 * or a sub-CA, whose certificate and key are files on the workers' hosts.
 * What is used is always what the database says: the root read back from its
 * committed row (two workers may race to make it), the sub-CA's certificate
 * stored there first.  A CA stays open, by issuer, until the database names
 * another certificate, its files change or it expires.
 *
 * Call from the event loop only.
 */
#ifndef WORKER_ISSUERS_LOCAL_CA_H
#define WORKER_ISSUERS_LOCAL_CA_H

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/db/db.h"
#include "common/loop/loop.h"
#include "common/pki/cert/certbuild.h"
#include "common/pki/key/seal.h"
#include "worker/issuers/ca_limits.h"
#include "worker/issuers/journal.h"

struct local_cas; /* defined in local_ca.c */

/* One open CA, referenced: it may be replaced while a batch uses it. */
struct local_ca {
	struct certbuild *builder;
	struct journal *journal;  /* NULL for a former key */
	struct ca_limits *limits; /* what leaves may be; NULL: all */
	const char *chain_pem;    /* what is sent with a leaf */
	const char *list;         /* its revocation list's name */
	char fingerprint[65];     /* of the CA's certificate */
	int64_t not_before_unix;
	int64_t not_after_unix;
};

struct local_cas_opts {
	struct loop *loop;
	struct db_pool *pool;
	struct sealer *sealer; /* outlives the CAs, as does the next */
	const char *journal_dir;
	struct journal_limits journal;
};

struct local_cas *local_cas_new(const struct local_cas_opts *opts);
/* CAs still referenced live on until they are given back.  NULL: no-op. */
void local_cas_free(struct local_cas *s);

/*
 * The CA of that issuer.  fingerprint: of the certificate the caller read in
 * the database ("" when there is none yet), so that one replaced elsewhere is
 * noticed; NULL takes what was loaded last.
 *
 * RC_OK: *out is to be given back with local_ca_unref.  RC_BUSY: it is being
 * loaded, ask again in a few milliseconds, with NULL.  Otherwise it can't be
 * used (RC_IO: on this host), and *out_why says why, for people; valid until
 * the next call.
 */
rc local_ca_get(struct local_cas *s, const char *issuer_id,
    const char *fingerprint, struct local_ca **out,
    const char **out_why) MUST_CHECK;
/* The same of a key that signed before, for its revocation list alone: without
 * journal. */
rc local_ca_get_former(struct local_cas *s, const char *issuer_id,
    const char *key_id, struct local_ca **out, const char **out_why) MUST_CHECK;
void local_ca_unref(struct local_ca *ca);
/* What seals the keys of roots. */
struct sealer *local_cas_sealer(const struct local_cas *s);
/* The issuer's configuration changed: the next get loads anew. */
void local_ca_forget(struct local_cas *s, const char *issuer_id);

#endif
