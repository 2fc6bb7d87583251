#include "worker/warm.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/op/op.h"

#define WARM_DEADLINE_MS 10000

static void
warm_ended(struct op *op, rc code, const char *message)
{
	struct warm_opts *o = op_owner(op);

	if (code != RC_OK)
		log_warn("WARM", "CA keys are derived when they are needed: %s",
		    rc_name(code));
	o->done(o->arg);
	free(o);
}

static void
derive(struct op *op, size_t row)
{
	struct warm_opts *o = op_owner(op);
	const char *issuer = op_text(op, row, "issuer_id");
	const char *hex = op_text(op, row, "key_sealed");
	size_t len = strlen(hex) / 2;
	uint8_t *blob = arena_alloc(op_arena(op), len + 1);
	struct secret *key = NULL;
	rc ret;

	ret = enc_unhex(hex, blob, len);
	if (ret == RC_OK)
		ret = unseal(o->sealer, op_printf(op, "ca_keys:%s", issuer),
		    blob, len, &key);
	if (ret != RC_OK)
		log_error("CA-KEY",
		    "the key of issuer %s does not open: is "
		    "CERTCTL_CA_ENCRYPTION_KEY the one it was sealed under?",
		    issuer);
	secret_free(key);
}

static enum op_next
warm_derive(struct op *op)
{
	for (size_t i = 0; i < op_rows(op); i++)
		derive(op, i);
	return op_done(op);
}

static enum op_next
warm_first(struct op *op)
{
	return OP_QUERY0(op, Q_CA_KEYS_TO_WARM, warm_derive);
}

void
warm_start(const struct warm_opts *opts)
{
	struct warm_opts *o = mem_zalloc(sizeof(*o));
	struct op_env env = {
	    .loop = opts->loop,
	    .pool = opts->pool,
	    .deadline_ms = WARM_DEADLINE_MS,
	    .name = "warm",
	    .owner = o,
	    .on_end = warm_ended,
	};

	*o = *opts;
	(void)op_start(&env, warm_first);
}
