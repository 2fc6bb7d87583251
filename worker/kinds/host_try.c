#include "worker/kinds/host_try.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "worker/issuers/journal.h"

struct host_try {
	const struct kind_env *env;
	struct op *op; /* scripts being tried; NULL: none */
};

struct scripts { /* state of that op */
	struct host_try *t;
	size_t n, at;
	const char *issuers[HOST_FAULTS_MAX];
};

static op_step scripts_next;
static op_step scripts_known;

struct host_try *
host_try_new(const struct kind_env *env)
{
	struct host_try *t = mem_zalloc(sizeof(*t));

	t->env = env;
	return t;
}

void
host_try_free(struct host_try *t)
{
	if (!t)
		return;
	if (t->op)
		op_abort(t->op, RC_CANCELLED);
	free(t);
}

/* --- the scripts of issuers, by the configuration that stands there now --- */

static enum op_next
scripts_begin(struct op *op)
{
	struct scripts *s = op_state(op, sizeof(*s));
	const struct host_fault *f;

	s->t = op_owner(op);
	for (size_t i = 0; (f = host_faults_at(s->t->env->host, i)); i++)
		if (f->kind == HOST_SCRIPT)
			s->issuers[s->n++] =
			    arena_strdup(op_arena(op), f->issuer_id);
	return op_goto(op, scripts_next);
}

static enum op_next
scripts_next(struct op *op)
{
	const struct scripts *s = op_state(op, sizeof(*s));

	if (s->at == s->n)
		return op_done(op);
	return OP_QUERY(op, Q_ISSUER_CONFIG, scripts_known, s->issuers[s->at]);
}

static enum op_next
scripts_known(struct op *op)
{
	struct scripts *s = op_state(op, sizeof(*s));
	const struct kind_env *env = s->t->env;
	const struct issuer_ops *ops = NULL;
	const char *why;
	rc ret = RC_OK;

	if (op_rows(op) > 0)
		ops = issuer_find(env->issuers, op_text(op, 0, "type"));
	if (ops)
		ret = issuer_check(ops, &env->issuer, op_arena(op),
		    op_text(op, 0, "config"), &why);
	/* What is not this host's is found by the jobs. */
	if (ret == RC_IO)
		host_fault_raise(env->host, HOST_SCRIPT, s->issuers[s->at],
		    op_printf(op, HOST_SCRIPT_WORDS, why));
	else
		host_fault_clear(env->host, HOST_SCRIPT, s->issuers[s->at]);
	s->at++;
	return op_goto(op, scripts_next);
}

static void
scripts_ended(struct op *op, rc code, const char *message)
{
	struct host_try *t = op_owner(op);

	t->op = NULL; /* whatever became of it, there is a next try */
}

static void
scripts_start(struct host_try *t)
{
	struct op_env env = {
	    .loop = t->env->loop,
	    .pool = t->env->pool,
	    .deadline_ms = KIND_DEADLINE_MS,
	    .name = "host_try",
	    .owner = t,
	    .on_end = scripts_ended,
	};

	if (!t->op)
		t->op = op_start(&env, scripts_begin);
}

/* --- CAs --- */

/* Of a CA that is being loaded the next try knows. */
static bool
ca_is_well(const struct kind_env *env, const char *issuer_id)
{
	struct local_ca *ca;
	const char *why;
	rc ret = local_ca_get(env->cas, issuer_id, NULL, &ca, &why);

	if (ret == RC_OK)
		local_ca_unref(ca);
	return ret != RC_IO && ret != RC_BUSY && ret != RC_UNAVAILABLE &&
	       ret != RC_TIMEOUT;
}

bool
host_try_is_over(void *arg, const struct host_fault *f)
{
	struct host_try *t = arg;

	switch (f->kind) {
	case HOST_JOURNAL:
		return journal_try(t->env->journal_dir, f->issuer_id) == RC_OK;
	case HOST_CA:
		return ca_is_well(t->env, f->issuer_id);
	case HOST_SCRIPT:
		scripts_start(t);
		return false;
	case HOST_CLOCK:
	case HOST_FAULT_KINDS:
		break;
	}
	return false; /* the lease compares the clocks */
}
