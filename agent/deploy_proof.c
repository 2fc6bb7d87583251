/*
 * The proof of a deployment, forward or back: handshakes until the server
 * shows the wanted certificate, or the tries are used up.
 */
#include <arpa/inet.h>
#include <string.h>

#include "agent/deploy_int.h"

#define WAIT_MS 50
#define WAIT_MAX_MS 2000
/* A reloading server answers with the old pair for a moment, and then for a
 * tenth of a second with either (nginx lets both generations of its workers
 * listen): it is proven by two handshakes with that time between them. */
#define PROOFS 2
#define PROOF_PAUSE_MS 150

static op_step proof_ask;
static op_step proof_answered;

const char *
deploy_server_name(struct op *op, const struct target_plan *plan,
    const char *common_name)
{
	const char *name = plan->server_name ? plan->server_name : common_name;
	unsigned char address[16];

	/* A wildcard is no host name, and an address is never asked for. */
	if (strncmp(name, "*.", 2) == 0)
		return op_printf(op, "www%s", name + 1);
	if (name[0] == '\0' || inet_pton(AF_INET, name, address) == 1 ||
	    inet_pton(AF_INET6, name, address) == 1)
		return NULL;
	return name;
}

enum op_next
deploy_prove(struct op *op, const char *fingerprint, op_step *proven,
    op_step *not_proven)
{
	struct deploy *d = op_state(op, sizeof(*d));

	d->proof = (struct deploy_proof){.wanted = fingerprint,
	    .seen = "",
	    .proven = proven,
	    .not_proven = not_proven,
	    .wait_ms = WAIT_MS};
	return op_goto(op, proof_ask);
}

static enum op_next
proof_ask(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	struct work *w = agent_arg(op);

	if (w->agent->is_retired || w->agent->is_stopping)
		return op_done(op); /* the journal stays open */
	op_extend(op, DEPLOY_STEP_LIMIT_MS);
	d->proof.tries++;
	return call_handshake(op, d->plan.host, d->plan.port,
	    deploy_server_name(op, &d->plan, d->j.common_name),
	    cfg_int(w->agent->cfg, "verify_timeout"), proof_answered);
}

static enum op_next
proof_answered(struct op *op)
{
	struct deploy *d = op_state(op, sizeof(*d));
	const struct call_probe *seen = call_probe(op);
	struct deploy_proof *p = &d->proof;
	struct work *w = agent_arg(op);
	int64_t wait = p->wait_ms;

	if (seen->code == RC_OK)
		p->seen = arena_strdup(op_arena(op), seen->fingerprint);
	if (seen->code == RC_OK && strcmp(p->seen, p->wanted) == 0) {
		if (++p->in_a_row == PROOFS)
			return op_goto(op, p->proven);
		return op_sleep(op, PROOF_PAUSE_MS, proof_ask);
	}
	p->in_a_row = 0;
	if (p->tries >= cfg_int(w->agent->cfg, "verify_attempts"))
		return op_goto(op, p->not_proven);
	p->wait_ms = wait * 2 < WAIT_MAX_MS ? wait * 2 : WAIT_MAX_MS;
	return op_sleep(op, wait, proof_ask);
}
