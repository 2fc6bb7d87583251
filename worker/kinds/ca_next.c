/*
 * ca_next: makes the successor of a self-signed root, of the same name and with
 * a key of its own.  It signs nothing until an operator has handed it out and
 * switches to it.
 */
#include <inttypes.h>
#include <string.h>

#include "common/log/log.h"
#include "common/pki/cert/cert.h"
#include "worker/issuers/ca_open.h"
#include "worker/kinds/kind.h"

static op_step next_known;
static op_step next_stored;

enum op_next
ca_next_begin(struct op *op)
{
	struct task *t = op_owner(op);

	return OP_QUERY(op, Q_CA_LOAD, next_known, t->issuer_id, NULL);
}

/* The common name of the root that signs. */
static rc
read_name(struct arena *a, const char *pem, const char **out)
{
	struct cert_info info;
	X509 *x;
	rc ret;

	ret = cert_from_pem(pem, strlen(pem), &x);
	if (ret != RC_OK)
		return ret;
	ret = cert_read(a, x, &info);
	X509_free(x);
	if (ret == RC_OK)
		*out = info.common_name;
	return ret;
}

static enum op_next
next_known(struct op *op)
{
	struct task *t = op_owner(op);
	const char *name = "", *why = "its certificate cannot be read";
	struct ca_root root;
	rc ret;

	if (op_rows(op) == 0 || op_is_null(op, 0, "key_sealed"))
		return op_fail(op, RC_NOT_FOUND, "the root is gone");
	ret = read_name(op_arena(op), op_text(op, 0, "cert_pem"), &name);
	if (ret == RC_OK)
		ret = ca_make_root(op_arena(op), local_cas_sealer(t->env->cas),
		    t->issuer_id, name, &root, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	log_info("CA-SUCCESSOR", "issuer %s: certificate %.16s..., %s",
	    t->issuer_id, root.info.fingerprint_sha256, name);
	return OP_QUERY(op, Q_CA_ROOT_STORE, next_stored, t->issuer_id,
	    root.cert_pem, root.info.fingerprint_sha256,
	    op_printf(op, "%" PRId64, root.info.not_before_unix),
	    op_printf(op, "%" PRId64, root.info.not_after_unix),
	    root.key_sealed, root.key_id, "next");
}

static enum op_next
next_stored(struct op *op)
{
	return op_done(op);
}
