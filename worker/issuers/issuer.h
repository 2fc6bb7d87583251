/*
 * issuer: a connector to a CA outside of this process.
 *
 * A connector is one file and one const struct of functions.  It knows how
 * one CA is asked; it does not know jobs, leases or checkpoints (see
 * kinds/issue_outside.c), and it does not judge what it was sent.  What it
 * must know is whether an order may have come of a call that went wrong: of
 * a definite refusal the job is simply tried again or ended, of anything else
 * the order is looked up first.
 *
 * A CA that takes its time answers ISSUER_PENDING.  The job is then parked with
 * the order's id, and polled when its time has come (poll_plan.h), by whatever
 * worker: nothing of the order is kept here between two polls.
 *
 * Call from the event loop only.
 */
#ifndef WORKER_ISSUERS_ISSUER_H
#define WORKER_ISSUERS_ISSUER_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/loop/loop.h"
#include "common/pki/csr/csr.h"

struct acme_cas;
struct cfg;
struct envelope_keys;
struct http_out;
struct rest_ca;
struct stepca_keys;
struct token_memory;
struct vault_tokens;

#define ISSUER_TYPES_MAX 16

/* Seconds that an order may take, by the worker's settings. */
struct issuer_max_waits {
	int64_t any_s;
	/* In the order of issuers_outside; 0: nothing is said of that type. */
	int64_t by_type_s[ISSUER_TYPES_MAX];
};

struct issuer_env { /* outlives every order */
	struct loop *loop;
	const char *script_dir; /* "": no script is run */
	struct issuer_max_waits max_waits;
	const struct envelope_keys *secrets; /* that secrets are sealed to */
	/* of issuer_http.c */
	const struct cfg *cfg;
	struct http_out *http;
	const char *client_dir;       /* "": no client certificate is read */
	const char *const *base_urls; /* beside the CAs' own; NULL-terminated */
	struct token_memory *tokens;
	/* of acme.c */
	struct acme_cas *acme;
	const char *const *acme_webroots; /* NULL-terminated */
	const char *zerossl_eab_url;
	struct stepca_keys *stepca;
	struct vault_tokens *vault; /* of vault.c; NULL: none is kept */
};

/* What is asked for.  All texts outlive the order. */
struct issuer_order {
	const char *reference; /* ours: the job's id */
	const char *csr_pem;
	const struct csr *csr;
	int64_t max_ttl_s; /* 0: none */
	/* When it was placed, to some seconds, by the database's clock; now, if
	 * it was not. */
	int64_t placed_unix;
	/* Seconds since then, by the same clock, when the order was taken up
	 * here. */
	int64_t placed_ago_s;
	/* What is renewed, its certificate first; "": nothing of this CA's. */
	const char *previous_pem;
	EVP_PKEY *account_key; /* the issuer's, where ops want one */
	/* of an order that the CA has */
	const char *note;  /* that came with its last PENDING, or "" */
	int64_t waited_ms; /* since the CA took it */
};

enum issuer_verdict {
	ISSUER_ISSUED,  /* pem is what was sent, as it came */
	ISSUER_PENDING, /* the CA has the order of that id, and works on it */
	/* No order came of it, or the order has ended without a certificate:
	 * the same would be refused again. */
	ISSUER_REFUSED,
	/* Look-up and poll: the order has ended without a certificate, for a
	 * reason that may be gone the next time; nothing comes of it any more.
	 */
	ISSUER_ENDED,
	/* Of an order that was to be placed: none came of it, a later one may
	 * be taken.  Of a look-up or a poll: the CA did not say. */
	ISSUER_RETRY,
	ISSUER_UNSURE,   /* placing: an order may have come of it */
	ISSUER_NO_ORDER, /* look-up and poll: the CA knows no such order */
	/* Look-up: it goes on by look_through, with what is said there of the
	 * certificates of these serial numbers, which may be ours. */
	ISSUER_LISTED,
	/* Of revoke: it is revoked, now or before. Of validate: it can be
	 * used. */
	ISSUER_DONE,
};

struct issuer_answer {
	enum issuer_verdict verdict;
	const char *pem; /* len bytes, foreign */
	size_t len;
	const char *words;    /* the CA's own, fit to be shown; may be "" */
	const char *order_id; /* PENDING: the CA's, ISSUER_ORDER_ID_MAX bytes */
	/* ISSUED: by what the CA calls the certificate, ISSUER_ORDER_ID_MAX
	 * bytes; it is stored, and told to revoke.  NULL: it has no name. */
	const char *certificate_id;
	int64_t retry_after_s; /* the CA asked to wait so long; 0: it did not */
	/* PENDING: the next step is ours, and due then; 0: as poll_plan.h has
	 * it.  And what the step needs to know, NULL for as before. */
	int64_t wait_ms;
	const char *note; /* ISSUER_NOTE_MAX bytes */
	/* LISTED: as the CA writes them, hexadecimal; and words says how far
	 * the look-up has come. */
	const char *const *serials;
	size_t nserials;
};

/* Orders that the CA has, of which a list of it is asked for. */
struct issuer_list {
	size_t n;
	const char *const *order_ids;
	bool *is_pending; /* n, as the list shows them; false to begin with */
};

#define ISSUER_ORDER_ID_MAX 255
#define ISSUER_NOTE_MAX 64

/* Called once, never from inside the call that asks.  What the answer points
 * at lives in the order's arena. */
typedef void issuer_answer_fn(void *arg, const struct issuer_answer *answer);

/* A certificate of the CA that is to be revoked.  All texts outlive the call;
 * "" where nothing is known. */
struct issuer_revocation {
	const char *certificate_id; /* as the answer ISSUED gave it */
	const char *order_id;       /* as the answer PENDING gave it */
	const char *serial;         /* lower-case hex, whole bytes */
	const char *pem;            /* the leaf */
	const char *reason;         /* a word of RFC 5280, keyCompromise */
	int reason_code;            /* the same, CRLReason, section 5.3.1 */
	bool was_pending;           /* the CA said so the last time */
};

/* One that stands revoked here, for a CA that makes its list. */
struct issuer_revoked {
	const char *serial; /* lower-case hex, whole bytes */
	int64_t revoked_at_unix;
	int reason_code; /* CRLReason */
};

/* A certificate of the CA that is asked when it is to be renewed (RFC 9773),
 * and what the CA said. */
enum issuer_window_end {
	ISSUER_WINDOW_LATER, /* it was not asked */
	ISSUER_WINDOW_KNOWN,
	ISSUER_WINDOW_REFUSED, /* a window that makes no sense: there is none */
	ISSUER_WINDOW_FAULT,   /* it answered, and not with a window */
	ISSUER_WINDOW_SILENT,  /* it did not say */
};

struct issuer_window {
	const char *pem; /* the leaf */
	int64_t not_after_unix;
	enum issuer_window_end end;
	int64_t starts_unix, ends_unix; /* KNOWN */
	const char *explanation_url;    /* likewise, "" for none */
	const char *words;              /* why not, fit to be shown; or "" */
	int64_t retry_after_s;          /* 0: the CA does not say */
};

struct issuer_ops {
	const char *type; /* of issuers, as the API spells it */
	/* Its orders are signed by a key of the issuer's own, P-256, or have
	 * codes that are made of it; it is made once and kept sealed. */
	bool wants_account_key;
	const struct rest_ca *rest; /* of rest_ca.h, where open is its */
	/* As issuer_check.  NULL: what open says is all there is. */
	rc (*check)(const struct issuer_env *env, struct arena *a,
	    const char *config, const char **out_why);
	/*
	 * Gets ready for one order: all that can fail before anything leaves.
	 * *out lives in the arena, and what it started ends with it.
	 * order: for revoke and validate, which have none, NULL, or, where
	 * wants_account_key, one that says that key alone.
	 * RC_INVALID (its configuration) or RC_IO with *out_why.
	 */
	rc (*open)(const struct issuer_ops *ops, const struct issuer_env *env,
	    struct arena *a, const char *config,
	    const struct issuer_order *order, void **out, const char **out_why);
	/* After so long an order is answered, one way or another. */
	int64_t (*limit_ms)(const void *order);
	bool (*can_look_up)(const void *order);
	/* RC_OK: it is answered later.  RC_IO: nothing has left, and errno
	 * says why. */
	rc (*place)(void *order, issuer_answer_fn *done, void *arg);
	/* By its reference; answered within ISSUER_ASK_MS.  RC_IO as above. */
	rc (*look_up)(void *order, issuer_answer_fn *done, void *arg);
	/*
	 * After LISTED, likewise: a look-up is as many rounds as it takes, for
	 * as long as who asks allows.  Which of the serials belong to stored
	 * certificates, in their order: those are other orders'.  What the
	 * answer pointed at is gone.  NULL: look_up never says LISTED.
	 */
	void (*look_through)(void *order, const bool *is_stored,
	    issuer_answer_fn *done, void *arg);
	/* Likewise by the id of a PENDING answer. */
	rc (*poll)(void *order, const char *order_id, issuer_answer_fn *done,
	    void *arg);
	/*
	 * Likewise, of many orders at once, by open without an order: says
	 * which of them a list of the CA's shows as pending, by as many calls
	 * as it has pages, and DONE.  Nothing is known of the others: each is
	 * asked for by poll.  What was found stands also where it ends by
	 * RETRY: the CA wants to be left alone, for retry_after_s; UNSURE: it
	 * can't be listed.  NULL: this CA has no list of orders that says what
	 * state they are in.
	 */
	rc (*list)(void *order, const struct issuer_list *asked,
	    issuer_answer_fn *done, void *arg);
	/*
	 * Likewise: nobody wants the order any more.  REFUSED, ENDED or
	 * NO_ORDER: it has ended; ISSUED, PENDING: it has not, and goes on as
	 * of a poll. NULL: this CA's orders cannot be cancelled.
	 */
	rc (*cancel)(void *order, const char *order_id, issuer_answer_fn *done,
	    void *arg);
	/*
	 * Likewise: revokes what the CA issued.  DONE, also where it was
	 * revoked before, so that asking again after any doubt does no harm;
	 * PENDING: the CA works on it, and is asked again; REFUSED: it says
	 * no; RETRY: it did not say.  NULL, or RC_NOT_FOUND where it is this
	 * issuer's configuration: the CA can't be told from here, and people
	 * are.
	 */
	rc (*revoke)(void *order, const struct issuer_revocation *what,
	    issuer_answer_fn *done, void *arg);
	/*
	 * Likewise, for a test that people asked for: calls the CA, and places
	 * nothing.  DONE; REFUSED: the configuration is wrong, in its words;
	 * RETRY: the CA did not say.  NULL: check says all there is.
	 */
	rc (*validate)(void *order, issuer_answer_fn *done, void *arg);
	/*
	 * Likewise, as revoke is opened: asks when each of these is to be
	 * renewed, and says so there.  DONE: all it had time for were asked;
	 * RETRY: the CA fails at the moment, those it was not asked of are
	 * LATER; REFUSED: it has no such windows.  NULL: no CA of the type has.
	 */
	rc (*ask_windows)(void *order, struct issuer_window *windows, size_t n,
	    issuer_answer_fn *done, void *arg);
	/*
	 * Likewise: has the CA make its revocation list.  DONE: pem is the
	 * list, PEM or DER, as it came; REFUSED or RETRY: there is none, in its
	 * words.  NULL, or RC_NOT_FOUND where it is this issuer's
	 * configuration: its lists are not fetched from here.
	 */
	rc (*fetch_list)(void *order, const struct issuer_revoked *revoked,
	    size_t n, issuer_answer_fn *done, void *arg);
};

#define ISSUER_ASK_MS 30000

/* All that this worker knows, NULL at the end. */
extern const struct issuer_ops *const issuers_outside[];
#define ISSUER(name, type, words, keys) \
	extern const struct issuer_ops issuer_##name;
#define LOCAL_ISSUER(name, type, words, keys)
#include "common/issuer/issuers.def"
#undef ISSUER
#undef LOCAL_ISSUER

/* CERTCTL_<type>_POLL_MAX_WAIT_SECONDS and the one for all types. */
void issuer_max_waits_read(const struct cfg *cfg, struct issuer_max_waits *out);
/* Seconds that an order may take: by the issuer's poll_max_wait_seconds where
 * its configuration says any, else by the worker's setting for its type, else
 * by that for all. */
int64_t issuer_poll_max_wait_s(const struct issuer_env *env, struct arena *a,
    const char *type, const char *config);
/* Whether an issuer with this configuration (JSON) can be used here.
 * RC_INVALID, or RC_IO where it is the host that is not fit for it, with
 * *out_why, for people. */
rc issuer_check(const struct issuer_ops *ops, const struct issuer_env *env,
    struct arena *a, const char *config, const char **out_why) MUST_CHECK;
/* NULL when there is none of that type. */
const struct issuer_ops *issuer_find(const struct issuer_ops *const *all,
    const char *type);

#endif
