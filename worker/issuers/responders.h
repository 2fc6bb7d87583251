/*
 * responders: who signs for our CAs what is asked by OCSP (RFC 6960 section
 * 2.6): for each key of a CA one delegated responder, whose certificate that
 * key signed and whose own key lies sealed in the database, the same for all
 * workers.
 *
 * One is made when somebody first asks, and anew when its end is near, while
 * it serves on; two workers may race, and both use what the database kept.
 * What keeps one away stands there too.  No journal tells of its certificate:
 * it is no leaf, nobody revokes it, and a database from before it makes another
 * one.
 *
 * Call from the event loop only.
 */
#ifndef WORKER_ISSUERS_RESPONDERS_H
#define WORKER_ISSUERS_RESPONDERS_H

#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/db/db.h"
#include "common/loop/loop.h"
#include "common/pki/key/seal.h"
#include "common/pki/ocsp/ocsp_response.h"
#include "worker/issuers/local_ca.h"

struct responders; /* defined in responders.c */

struct responder { /* referenced: it may be replaced while a batch uses it */
	struct ocsp_signer *signer;
	int64_t not_after_unix;
};

struct responders_opts {
	struct loop *loop;
	struct db_pool *pool;
	struct sealer *sealer; /* outlives them, as do the CAs */
	struct local_cas *cas;
	int64_t validity_s; /* of a responder's certificate */
	int64_t grace_s;    /* one that ends sooner is made anew */
};

struct responders *responders_new(const struct responders_opts *opts);
/* Those still referenced live on until they are given back.  NULL: no-op. */
void responders_free(struct responders *s);

/* A key of a CA, as ca_certificates has it. */
struct responder_ca {
	const char *issuer_id;
	const char *list;
	const char *former_key; /* NULL: the one that signs now */
	const char *responder;  /* the fingerprint of its responder; "": none */
	int64_t now_unix;       /* the database's */
};

/*
 * RC_OK: *out is to be given back with responder_unref.  RC_BUSY: it is being
 * loaded or made, ask again in a few milliseconds.  Otherwise there is none
 * (RC_IO: on this host), and *out_why says why, for people; valid until the
 * next call.
 */
rc responders_get(struct responders *s, const struct responder_ca *ca,
    struct responder **out, const char **out_why) MUST_CHECK;
void responder_unref(struct responder *r);

#endif
