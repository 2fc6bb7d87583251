/*
 * csr_int: what the files that read a request share.
 */
#ifndef COMMON_PKI_CSR_CSR_INT_H
#define COMMON_PKI_CSR_CSR_INT_H

#include <stdbool.h>

#include "common/pki/csr/csr.h"

struct der;

struct csr_reading {
	struct arena *a;
	struct csr *c;
	bool bad;        /* the cursors' flag: not strict DER */
	const char *why; /* the first other reason */
};

/* The first reason stays. */
static inline void
csr_refuse(struct csr_reading *r, const char *why)
{
	if (!r->why)
		r->why = why;
}

static inline bool
csr_going(const struct csr_reading *r)
{
	return !r->bad && !r->why;
}

/* All extensions of an extension request, each type once. */
void csr_read_extensions(struct csr_reading *r, struct der *exts);
/* The value of a subjectAltName extension: c->sans. */
void csr_read_sans(struct csr_reading *r, struct span value);
/* Once all is read: c->names and c->subject_name, out of common name and
 * alternative names. */
void csr_settle_names(struct csr_reading *r);

#endif
