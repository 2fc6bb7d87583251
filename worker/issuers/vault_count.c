#include "worker/issuers/vault_count.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/op/op.h"

#define TELL_MS 1000
#define RETRY_MS 5000
#define DEADLINE_MS 10000

/* As the label of the metric has it. */
static const char *const results[VAULT_NRENEWALS + 1] = {
    [VAULT_RENEWED] = "success",
    [VAULT_FAILED] = "failure",
    [VAULT_NOT_RENEWABLE] = "not_renewable",
};

struct vault_count {
	struct loop *loop;
	struct db_pool *pool;
	struct timer *timer;
	struct op *op; /* the telling; NULL: none is under way */
	int64_t n[VAULT_NRENEWALS];
	int64_t told[VAULT_NRENEWALS]; /* of them, by op */
};

static void
told(struct op *op, rc code, const char *message)
{
	struct vault_count *c = op_owner(op);
	bool is_more = false;

	c->op = NULL;
	if (code == RC_CANCELLED) /* it is being freed */
		return;
	if (code != RC_OK)
		log_warn("VAULT-COUNT",
		    "renewals of Vault's tokens are counted later: %s %s",
		    rc_name(code), message);
	for (size_t i = 0; i < VAULT_NRENEWALS; i++) {
		if (code == RC_OK)
			c->n[i] -= c->told[i];
		is_more = is_more || c->n[i] > 0;
	}
	if (is_more)
		timer_arm(c->timer, code == RC_OK ? TELL_MS : RETRY_MS);
}

static enum op_next
was_told(struct op *op)
{
	return op_done(op);
}

static enum op_next
tell_first(struct op *op)
{
	const struct vault_count *c = op_owner(op);

	return OP_QUERY(op, Q_STATS_VAULT_TOKENS, was_told,
	    db_text_array(op_arena(op), results, VAULT_NRENEWALS),
	    db_i64_array(op_arena(op), c->told, VAULT_NRENEWALS));
}

static void
tell(void *arg)
{
	struct vault_count *c = arg;
	const struct op_env env = {
	    .loop = c->loop,
	    .pool = c->pool,
	    .deadline_ms = DEADLINE_MS,
	    .name = "vault_count",
	    .owner = c,
	    .on_end = told,
	};

	for (size_t i = 0; i < VAULT_NRENEWALS; i++)
		c->told[i] = c->n[i];
	c->op = op_start(&env, tell_first);
}

struct vault_count *
vault_count_new(struct loop *l, struct db_pool *pool)
{
	struct vault_count *c = mem_zalloc(sizeof(*c));

	c->loop = l;
	c->pool = pool;
	c->timer = timer_new(l, tell, c);
	return c;
}

void
vault_count_free(struct vault_count *c)
{
	if (!c)
		return;
	if (c->op)
		op_abort(c->op, RC_CANCELLED);
	timer_free(c->timer);
	free(c);
}

void
vault_count_add(struct vault_count *c, enum vault_renewal what)
{
	c->n[what]++;
	if (!c->op && !timer_is_armed(c->timer))
		timer_arm(c->timer, TELL_MS);
}
