/*
 * issue_batch: one lease of issuance jobs, from its rows to their end.
 *
 * issue_start.c reads issuer and jobs and hands them to the kind of CA:
 * issue_local.c checks, journals and signs, issue_outside.c orders.
 * issue_finish.c stores what was signed and ends or puts off the rest.  Every
 * job has one fate, set once; a job that is still OPEN when the op ends was
 * dropped with its lease.
 */
#ifndef WORKER_KINDS_ISSUE_BATCH_H
#define WORKER_KINDS_ISSUE_BATCH_H

#include "common/op/op.h"
#include "common/pki/cert/certbuild.h"
#include "common/pki/cert/certresult.h"
#include "common/pki/csr/csr.h"
#include "common/pki/profile/certprofile.h"
#include "worker/kinds/kind.h"

enum issue_fate {
	ISSUE_OPEN,
	ISSUE_SIGNED, /* to be stored */
	ISSUE_ASIDE,  /* to be ended or put off: aside, reason */
	ISSUE_STORED,
	ISSUE_SET_ASIDE,
	ISSUE_LOST, /* the database says that it is not ours any more */
	ISSUE_HELD, /* somebody holds its row: it is freed with the lease */
};

enum issue_aside {
	ASIDE_FAIL,    /* the job's own fault: Failed */
	ASIDE_RETRY,   /* ours or our surroundings': later, attempts count */
	ASIDE_RELEASE, /* nobody's: at once, nothing counts */
	ASIDE_HELD,    /* likewise, soon: somebody holds a row it needs */
	ASIDE_CANCEL,
	/* of a CA outside */
	ASIDE_REFUSE,    /* it refused: later, attempts count */
	ASIDE_ENDED,     /* it ended its order: likewise, by another one */
	ASIDE_WRONG,     /* it sent another certificate: Failed */
	ASIDE_UNCERTAIN, /* an order may exist: waits for a person */
	ASIDE_PENDING,   /* the CA works on its order: polled later */
	ASIDE_SILENT,    /* it did not say whether: likewise */
	ASIDE_ALONE,     /* nor a list of its: asked for by itself, at once */
	ASIDE_KINDS
};

struct issue_job {
	/* from the row, in the op's results */
	const char *id;
	const char *csr_pem;    /* NULL: none */
	const char *serial_hex; /* NULL: none */
	const char *ca;         /* fingerprint the serial was fixed for */
	const char *extensions; /* JSON text */
	const char *certificate_id;
	const char *key_holder; /* agent; NULL: unknown */
	const char *row;        /* of the certificate, JSON for the journal */
	const char *profile;    /* its row, JSON; NULL: none */
	/* The Critical policy rule that it would break, NULL: none; how. */
	const char *broken_rule, *broken_message;
	int64_t not_before_unix, not_after_unix;
	bool is_cancelled;
	/* made of it, in the arena */
	struct csr csr;
	struct span tbs;
	char tbs_sha256[65];
	struct span der;
	const char *pem;
	char fingerprint[65];

	enum issue_fate fate;
	enum issue_aside aside;
	const char *reason;
	/* An order may exist outside: what the next attempt asks first. */
	bool is_open;
	/* What is known of its order, and when to go on: JSON; NULL: nothing */
	const char *order;
	const char *agent_id; /* STORED: whom a deployment may wait for */
};

enum issue_phase {
	PHASE_LOAD,
	PHASE_CHECK,
	PHASE_JOURNAL,
	PHASE_SIGN,
	PHASE_STORE,
	PHASE_COUNT
};

struct issue_range {
	size_t from, to;
};

struct issue_batch {
	const struct kind_env *env;
	int64_t lease_id;
	const char *lease_text;
	const char *worker;
	const char *issuer_id;
	/* of issue_local.c */
	const char *ca_fingerprint; /* of the CA in its row */
	struct local_ca *ca;        /* given back when the op is freed */
	/* of issue_outside.c */
	const struct issuer_ops *outside; /* the connector */
	struct outside *outside_state;
	const struct certresult *result; /* SIGNED outside: what it sent */
	/* Its order and what the CA calls it; NULL: nothing. */
	const char *ca_order_id, *ca_certificate_id;
	struct slot_end end;
	size_t n;
	struct issue_job *jobs; /* ascending id, by bytes */
	size_t at;              /* where the next slice begins */
	/* The profile of most of them, read from profile_text. */
	const char *profile_text, *profile_why;
	struct certprofile profile;
	/* for the log */
	int64_t phase_us[PHASE_COUNT];
	int64_t began_us;
	/* of issue_finish.c */
	struct issue_job **todo; /* those that the statement is about */
	size_t ntodo;
	struct issue_range ranges[64]; /* to be stored still, a stack */
	size_t nranges;
	unsigned tries;
	bool is_plain; /* reasons were replaced by plain ones */
};

/* RC_LEASE_LOST as the end of the op, unless the lease is trusted. */
#define ISSUE_TRUST_OR_RETURN(op, b) \
	do { \
		if (!lease_is_trusted((b)->env->lease)) \
			return op_fail((op), RC_LEASE_LOST, \
			    "the worker's own lease is too old"); \
	} while (0)

/* NULL: none of its jobs has that id. */
struct issue_job *issue_find(struct issue_batch *b, const char *id);
void issue_set(struct issue_job *j, enum issue_aside aside, const char *reason);
/* All that are OPEN. */
void issue_set_all(struct issue_batch *b, enum issue_aside aside,
    const char *reason);
/* All that are OPEN are given back: it is this host that cannot do them. */
void issue_host_fault(struct op *op, enum host_fault_kind kind,
    const char *detail);
/* The same of a fault that is known: true. */
bool issue_host_stops(struct op *op);
/* Monotonic, for durations in the log. */
int64_t issue_clock_us(void);
/* False, and the job is ASIDE, unless its CSR can be used. */
bool issue_read_csr(struct op *op, struct issue_job *j);
/* The same unless the profile allows its request; *out: NULL without one, else
 * it lasts until the next call. */
bool issue_read_profile(struct op *op, struct issue_job *j,
    const struct certprofile **out);
/* The same unless a Critical policy rule forbids it. */
bool issue_rules_allow(struct op *op, struct issue_job *j);
/* The kinds of CA: the local one, and those outside, by b->outside. */
op_step issue_local;
op_step issue_outside;
/* All are SIGNED or ASIDE: stores, sets aside, tells, ends the op. */
op_step issue_finish;

#endif
