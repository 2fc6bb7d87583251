#include "worker/kinds/crl_keep.h"

#include <inttypes.h>

#include "common/base/clock.h"
#include "common/base/enc.h"

#define ETAG_DIGITS 32 /* the first 16 octets of the digest */

static op_step crl_failure_noted;

static const char *
number_text(struct op *op, int64_t n)
{
	return op_printf(op, "%" PRId64, n);
}

enum op_next
crl_keep(struct op *op, const struct crl_made *m, op_step *stored)
{
	struct task *t = op_owner(op);
	char digest[65], *hex;

	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	enc_sha256_hex(m->der.p, m->der.len, digest);
	hex = arena_alloc(op_arena(op), 2 * m->der.len + 3);
	hex[0] = '\\';
	hex[1] = 'x';
	enc_hex(m->der.p, m->der.len, hex + 2);
	return OP_QUERY(op, Q_CRL_STORE, stored,
	    lease_incarnation(t->env->lease), t->lease_text, t->id, hex,
	    number_text(op, m->number), number_text(op, m->this_update_unix),
	    number_text(op, m->next_update_unix),
	    op_printf(op, "%zu", m->nentries),
	    op_printf(op, "W/\"%.*s\"", ETAG_DIGITS, digest), m->ca_fingerprint,
	    m->snapshot, number_text(op, clock_boot_ms() - m->began_ms),
	    m->why_older, m->lacks, m->others);
}

/* On the task: its op's own state is its kind's. */
enum op_next
crl_keep_failure(struct op *op, int64_t began_ms, rc code, const char *why)
{
	struct task *t = op_owner(op);

	t->code = code;
	t->message = op_printf(op, "%s", why);
	return OP_QUERY(op, Q_CRL_FAILED, crl_failure_noted,
	    lease_incarnation(t->env->lease), t->lease_text, t->id,
	    number_text(op, clock_boot_ms() - began_ms), t->message);
}

static enum op_next
crl_failure_noted(struct op *op)
{
	const struct task *t = op_owner(op);

	return op_fail(op, t->code, "%s", t->message);
}
