/*
 * host_fault: what this worker's host cannot do just now, and why.
 *
 * A disk that is full, a file that cannot be read here or a wrong clock is the
 * fault of no job and of no CA.  What was taken already is given back as if it
 * had never been (ISSUE release), this worker takes no such work, says so in
 * its row, and tries each second whether it could again.  A fault concerns one
 * issuer's jobs; that of the clock concerns all work.
 *
 * Call from the event loop only.
 */
#ifndef WORKER_HOST_FAULT_H
#define WORKER_HOST_FAULT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/loop/loop.h"

#define HOST_TRY_MS 1000
/* More issuers than that are not told to the leader: their jobs are still
 * given back. */
#define HOST_FAULTS_MAX 256

enum host_fault_kind {
	HOST_JOURNAL, /* the issuance journal cannot be written */
	HOST_CA,      /* the CA's files or its sealed key do not open here */
	HOST_SCRIPT,  /* a CA's script cannot be run here */
	HOST_CLOCK,   /* it differs from the database's */
	HOST_FAULT_KINDS
};

#define HOST_CA_WORDS "the CA cannot be used here: %s"
#define HOST_SCRIPT_WORDS "the issuer cannot be used here: %s"

struct host_fault { /* read; texts live until the fault is over */
	enum host_fault_kind kind;
	char *issuer_id; /* "": all work */
	char *detail;    /* for people */
};

struct host_faults; /* defined in host_fault.c */

struct host_faults_opts {
	struct loop *loop;
	/* Whether what failed would do now.  Never asked of the clock. */
	bool (*is_over)(void *try_arg, const struct host_fault *f);
	void *try_arg;
	/* There is one more, one less, or another reason. */
	void (*on_change)(void *arg);
	void *arg;
};

struct host_faults *host_faults_new(const struct host_faults_opts *opts);
/* NULL is a no-op. */
void host_faults_free(struct host_faults *h);

/* Texts are copied, the detail by plain_clean: no renewal fails for the name of
 * a file.  One that is known already gets the new detail. */
void host_fault_raise(struct host_faults *h, enum host_fault_kind kind,
    const char *issuer_id, const char *detail);
/* Nothing happens where there is none. */
void host_fault_clear(struct host_faults *h, enum host_fault_kind kind,
    const char *issuer_id);

/* Why work of that issuer ("" for tasks) is not taken; NULL: it is. */
const char *host_faults_why(const struct host_faults *h, const char *issuer_id);
/* No work is taken at all. */
bool host_faults_stop_all(const struct host_faults *h);
/* The i-th, the oldest first; NULL past the last. */
const struct host_fault *host_faults_at(const struct host_faults *h, size_t i);

/* A static word, such as "journal". */
const char *host_fault_name(enum host_fault_kind kind);

#endif
