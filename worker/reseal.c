#include "worker/reseal.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/daemon/daemon.h"
#include "common/daemon/parts.h"
#include "common/issuer/issuer_type.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "common/op/op.h"
#include "common/pki/key/envelope.h"

#define DEADLINE_MS 30000
#define TEXT_MAX 65536
/* Issuers that were changed between reading and writing are read again. */
#define WALKS_MAX 10
#define EXIT_LEFT 1

static const struct cfg_key keys[] = {
#define KEY CFG_KEY_ROW
#include "worker/cfg_keys.def"
#undef KEY
};

struct reseal {
	struct daemon *d;
	bool only_look;
	struct envelope_keys *keys;
	struct db_pool *pool;
	struct op *op; /* NULL: over */
	/* of this walk through the issuers */
	char after[256]; /* the issuer looked at last */
	int64_t good, sealed, other, closed, changed;
	int walks;
	/* of the issuer at hand */
	int64_t here;
};

static op_step reseal_next;
static op_step reseal_read;
static op_step reseal_stored;

/* --- one issuer --- */

static void
tell(const char *issuer, const char *name, const char *what)
{
	(void)printf("%s: %s %s\n", issuer, name, what);
}

/* One secret, as it is; what replaces it is added to w. */
static void
look_at(struct op *op, struct reseal *r, const char *issuer,
    const struct issuer_type *t, const char *name, const struct cJSON *member,
    struct json_w *w)
{
	struct arena *a = op_arena(op);
	struct envelope e, fresh;
	rc ret;

	if (json_str(member, "cms", TEXT_MAX, &e.cms) != RC_OK ||
	    json_str(member, "to", TEXT_MAX, &e.to) != RC_OK) {
		tell(issuer, name, "is not sealed: give it anew by the API");
		r->closed++;
		return;
	}
	if (envelope_is_to_first(r->keys, e.to)) {
		r->good++;
		return;
	}
	ret = envelope_reseal(a, r->keys, op_printf(op, "%s:%s", t->type, name),
	    &e, &fresh);
	if (ret != RC_OK) {
		tell(issuer, name,
		    ret == RC_NOT_FOUND
			? "is sealed to a key that is not here: name its file "
			  "in CERTCTL_ISSUER_SECRETS_KEYS"
			: "does not open: give it anew by the API");
		r->closed++;
		return;
	}
	if (r->only_look) {
		tell(issuer, name, "is sealed to another key than the first");
		r->other++;
		return;
	}
	json_w_key(w, name);
	json_w_open(w, '{');
	json_w_kv(w, "cms", fresh.cms);
	json_w_kv(w, "to", fresh.to);
	json_w_close(w, '}');
	r->here++;
}

/* What is to be stored, JSON in the arena. */
static const char *
look_at_all(struct op *op, struct reseal *r, const char *issuer,
    const struct issuer_type *t, const struct cJSON *config)
{
	const char *text;
	struct json_w w;
	struct buf b;

	r->here = 0;
	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	for (size_t i = 0; t && i < t->nkeys; i++) {
		const struct cJSON *member = json_get(config, t->keys[i].name);

		if (t->keys[i].type == KEY_SECRET && member)
			look_at(op, r, issuer, t, t->keys[i].name, member, &w);
	}
	json_w_close(&w, '}');
	text = op_printf(op, "%s", buf_cstr(&b));
	buf_fini(&b);
	return text;
}

/* --- one after the other --- */

static enum op_next
walked(struct op *op, struct reseal *r)
{
	if (r->changed > 0 && ++r->walks < WALKS_MAX) {
		/* What was sealed anew stays so, and is not told of twice. */
		r->good = r->closed = r->changed = 0;
		r->after[0] = '\0';
		return op_goto(op, reseal_next);
	}
	if (r->only_look)
		(void)printf("%" PRId64 " sealed to the first key, %" PRId64
			     " to others, %" PRId64 " that do not open\n",
		    r->good, r->other, r->closed);
	else
		(void)printf("%" PRId64 " sealed anew, %" PRId64
			     " that do not open\n",
		    r->sealed, r->closed);
	r->d->exit_status =
	    r->other + r->closed + r->changed > 0 ? EXIT_LEFT : 0;
	return op_done(op);
}

static enum op_next
reseal_read(struct op *op)
{
	struct reseal *r = op_owner(op);
	const char *issuer, *config, *fresh, *why;
	const struct cJSON *object;

	if (op_rows(op) == 0)
		return walked(op, r);
	issuer = op_text(op, 0, "id");
	config = op_text(op, 0, "config");
	(void)snprintf(r->after, sizeof(r->after), "%s", issuer);
	op_extend(op, DEADLINE_MS);
	if (json_parse(op_arena(op), config, strlen(config), &object, &why) !=
	    RC_OK)
		return op_goto(op, reseal_next); /* holds no secrets */
	fresh = look_at_all(op, r, issuer,
	    issuer_type_find(op_text(op, 0, "type")), object);
	if (r->here == 0)
		return op_goto(op, reseal_next);
	return OP_QUERY(op, Q_ISSUER_SECRETS_RESEAL, reseal_stored, issuer,
	    config, fresh);
}

static enum op_next
reseal_stored(struct op *op)
{
	struct reseal *r = op_owner(op);

	if (op_bool(op, 0, "is_stored"))
		r->sealed += r->here;
	else
		r->changed++;
	fault_point("worker.reseal.stored");
	return op_goto(op, reseal_next);
}

static enum op_next
reseal_next(struct op *op)
{
	struct reseal *r = op_owner(op);

	return OP_QUERY(op, Q_ISSUER_SECRETS_NEXT, reseal_read, r->after);
}

static void
on_end(struct op *op, rc code, const char *message)
{
	struct reseal *r = op_owner(op);

	r->op = NULL;
	if (code != RC_OK) {
		log_error("RESEAL", "not all was looked at, run it again: %s",
		    message);
		r->d->exit_status = EXIT_LEFT;
	}
	loop_stop(r->d->loop);
}

/* --- the process --- */

static rc
prepare(void *self, struct daemon *d)
{
	const char *const *paths = cfg_list(d->cfg, "issuer_secrets_keys");
	const struct db_opts one = {
	    .max_conns = 1,
	    .queue_deadline_ms = DEADLINE_MS,
	    .statement_timeout_ms = DEADLINE_MS,
	};
	struct reseal *r = self;
	rc ret;

	r->d = d;
	if (!paths[0]) {
		log_error("CONFIG",
		    "CERTCTL_ISSUER_SECRETS_KEYS: names no key to seal to");
		return RC_INVALID;
	}
	ret = envelope_keys_new(paths, &r->keys);
	return ret == RC_OK ? part_pool(d, "reseal", &one, &r->pool) : ret;
}

static rc
start(void *self, struct daemon *d)
{
	struct reseal *r = self;
	struct op_env env = {
	    .loop = d->loop,
	    .pool = r->pool,
	    .deadline_ms = DEADLINE_MS,
	    .name = "reseal",
	    .owner = r,
	    .on_end = on_end,
	};

	r->op = op_start(&env, reseal_next);
	return RC_OK;
}

static void
stop(void *self, struct daemon *d)
{
	struct reseal *r = self;

	if (r->op)
		op_abort(r->op, RC_CANCELLED);
	d->exit_status = EXIT_LEFT;
	loop_stop(d->loop);
}

static void
finish(void *self, struct daemon *d)
{
	struct reseal *r = self;

	db_pool_free(r->pool);
	envelope_keys_free(r->keys);
}

bool
reseal_main(int argc, char **argv, int *out_exit)
{
	static const struct daemon_program program = {
	    .process = "worker",
	    .purpose = "seals the secrets of issuers anew",
	    .keys = keys,
	    .nkeys = ARRAY_LEN(keys),
	    .prepare = prepare,
	    .wait = part_wait_for_schema,
	    .open = start,
	    .stop = stop,
	    .close = finish,
	};
	struct reseal r = {0};

	if (argc != 2)
		return false;
	r.only_look = strcmp(argv[1], "--issuer-secrets") == 0;
	if (!r.only_look && strcmp(argv[1], "--reseal-issuer-secrets") != 0)
		return false;
	*out_exit = daemon_main(1, argv, &program, &r);
	return true;
}
