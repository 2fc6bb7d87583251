/*
 * ocsp_sign and ocsp_refresh: what is asked of the status of certificates,
 * signed (RFC 6960, RFC 5019).
 *
 * A task of the first kind is a batch of requests that clients of an apiserver
 * wait for; its answers go back by the database, and a hint says that they are
 * there.  Those without a nonce and about one certificate are kept, too.  The
 * second kind makes kept answers anew, a chunk a round, until none is due.
 *
 * What is so is read in one statement before anything is signed; a revocation
 * that commits after it makes the kept answer one that says other than what is
 * so, which is given to nobody (see ocsp_find).
 */
#include <inttypes.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "common/pki/cert/crl.h"
#include "common/pki/ocsp/ocsp_answers.h"
#include "common/policy/policy.h"
#include "worker/kinds/kind.h"
#include "worker/kinds/ocsp_batch.h"

#define POLL_MS 2
#define CHUNK "500" /* answers made anew in a round */
/* A round ends well before the op does. */
#define ROUND_MS 15000

static op_step work_loaded;
static op_step work_keys_known;
static op_step work_open;
static op_step work_sign;
static op_step work_stored;
static op_step refresh_round;
static op_step refresh_kept;

static struct ocsp_batch *
work_of(struct op *op)
{
	return op_state(op, sizeof(struct ocsp_batch));
}

static void
give_back(void *arg)
{
	struct ocsp_batch *w = arg;

	for (size_t i = 0; i < w->nkeys; i++) {
		if (w->keys[i].responder)
			responder_unref(w->keys[i].responder);
		w->keys[i].responder = NULL;
	}
}

enum op_next
ocsp_sign_begin(struct op *op)
{
	struct task *t = op_owner(op);

	arena_defer(op_arena(op), give_back, work_of(op));
	return OP_QUERY(op, Q_OCSP_LOAD, work_loaded,
	    lease_incarnation(t->env->lease), t->lease_text, t->id);
}

enum op_next
ocsp_refresh_begin(struct op *op)
{
	work_of(op)->is_refresh = true;
	arena_defer(op_arena(op), give_back, work_of(op));
	op_mark(op);
	return op_goto(op, refresh_round);
}

static enum op_next
refresh_round(struct op *op)
{
	struct task *t = op_owner(op);

	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	if (op_left_ms(op) < ROUND_MS)
		return op_done(op); /* the duty makes the next */
	return OP_QUERY(op, Q_OCSP_DUE, work_loaded,
	    lease_incarnation(t->env->lease), t->lease_text, t->id, CHUNK);
}

/* --- what is asked --- */

static const char *
text_or_null(const struct db_result *r, size_t row, const char *col)
{
	int c = db_col(r, col);

	return db_is_null(r, row, c) ? NULL : db_text(r, row, c);
}

static void
read_item(const struct db_result *r, size_t row, struct ocsp_item *out)
{
	*out = (struct ocsp_item){
	    .number = (int)db_i64(r, row, db_col(r, "request")),
	    .issuer_id = db_text(r, row, db_col(r, "issuer_id")),
	    .issuer_type = text_or_null(r, row, "issuer_type"),
	    .serial = db_text(r, row, db_col(r, "serial")),
	    .cert_id = db_text(r, row, db_col(r, "cert_id")),
	    .list = text_or_null(r, row, "list"),
	    .status = db_text(r, row, db_col(r, "status")),
	    .reason = db_text(r, row, db_col(r, "reason")),
	};
	if (text_or_null(r, row, "revoked_at"))
		out->revoked_at_unix = db_i64(r, row, db_col(r, "revoked_at"));
}

/* Items of a request stand one behind the other. */
static void
read_items(struct op *op, struct ocsp_batch *w)
{
	const struct db_result *r = op_result(op, 0);
	struct arena *a = op_arena(op);
	struct ocsp_asked *q = NULL;

	w->items = arena_alloc(a, (w->nitems + 1) * sizeof(*w->items));
	w->requests = arena_alloc(a, (w->nitems + 1) * sizeof(*w->requests));
	w->nrequests = 0;
	for (size_t i = 0; i < w->nitems; i++) {
		read_item(r, i, &w->items[i]);
		if (!q || w->items[i].number != w->items[i - 1].number) {
			q = &w->requests[w->nrequests++];
			*q = (struct ocsp_asked){
			    .first = i,
			    .nonce = ocsp_batch_unhex(a,
				db_text(r, i, db_col(r, "nonce"))),
			};
		}
		q->n++;
	}
}

/* Of those that are there. */
static const char *
name_issuers(struct op *op, const struct ocsp_batch *w)
{
	const char **ids =
	    arena_alloc(op_arena(op), (w->nitems + 1) * sizeof(*ids));
	size_t n = 0;

	for (size_t i = 0; i < w->nitems; i++) {
		if (n == 0 || strcmp(ids[n - 1], w->items[i].issuer_id) != 0)
			ids[n++] = w->items[i].issuer_id;
	}
	return db_text_array(op_arena(op), ids, n);
}

static enum op_next
work_loaded(struct op *op)
{
	struct ocsp_batch *w = work_of(op);

	w->nitems = op_rows(op);
	w->at = 0;
	if (w->is_refresh && w->nitems == 0) {
		if (w->signed_in_all > 0)
			log_info("OCSP-REFRESH", "%zu answers made anew",
			    w->signed_in_all);
		return op_done(op);
	}
	read_items(op, w);
	return OP_QUERY(op, Q_OCSP_CAS, work_keys_known, name_issuers(op, w));
}

/* --- who answers --- */

static enum op_next
work_keys_known(struct op *op)
{
	ocsp_batch_find_keys(op, work_of(op));
	return op_goto(op, work_open);
}

static enum op_next
work_open(struct op *op)
{
	struct task *t = op_owner(op);
	struct ocsp_batch *w = work_of(op);
	const char *why;

	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	for (size_t i = 0; i < w->nkeys; i++) {
		struct ocsp_key *k = &w->keys[i];

		if (!k->is_wanted || k->code != RC_OK)
			continue;
		if (!k->responder)
			k->code = responders_get(t->env->responders, &k->ca,
			    &k->responder, &why);
		if (k->code == RC_BUSY) {
			k->code = RC_OK;
			return op_sleep(op, POLL_MS, work_open);
		}
		if (k->code != RC_OK)
			log_warn("OCSP-SIGN", "list %s: %s", k->ca.list, why);
		else if (k->responder->not_after_unix < w->next_unix)
			w->next_unix = k->responder->not_after_unix;
	}
	return op_goto(op, work_sign);
}

/* --- storing --- */

static const char *
bytea(struct arena *a, struct span octets)
{
	char *hex = arena_alloc(a, 2 * octets.len + 3);

	memcpy(hex, "\\x", 2);
	enc_hex(octets.p, octets.len, hex + 2);
	return hex;
}

/* The columns of ocsp_keep. */
struct kept {
	const char **issuers, **serials, **cert_ids, **responses, **statuses,
	    **reasons, **revoked;
	size_t n;
};

static void
keep_rows(struct op *op, struct ocsp_batch *w, struct kept *k)
{
	const char ***columns[] = {&k->issuers, &k->serials, &k->cert_ids,
	    &k->responses, &k->statuses, &k->reasons, &k->revoked};

	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		*columns[i] = arena_alloc(op_arena(op),
		    (w->nrequests + 1) * sizeof(char *));
	k->n = 0;
	for (size_t i = 0; i < w->nrequests; i++) {
		const struct ocsp_asked *q = &w->requests[i];
		const struct ocsp_item *it = &w->items[q->first];
		bool is_revoked = strcmp(it->status, "revoked") == 0;

		if (!q->is_kept)
			continue;
		k->issuers[k->n] = it->issuer_id;
		k->serials[k->n] = it->serial;
		k->cert_ids[k->n] = it->cert_id;
		k->responses[k->n] = bytea(op_arena(op), q->der);
		k->statuses[k->n] = it->status;
		k->reasons[k->n] =
		    is_revoked ? op_printf(op, "%d", crl_reason(it->reason))
			       : NULL;
		k->revoked[k->n] =
		    is_revoked ? op_printf(op, "%" PRId64, it->revoked_at_unix)
			       : NULL;
		k->n++;
	}
}

#define KEEP_PARAMS 9

static struct db_stmt
keep_statement(struct op *op, struct ocsp_batch *w, size_t *out_n)
{
	struct arena *a = op_arena(op);
	const char **p = arena_alloc(a, KEEP_PARAMS * sizeof(*p));
	struct kept k;

	keep_rows(op, w, &k);
	p[0] = db_text_array(a, k.issuers, k.n);
	p[1] = db_text_array(a, k.serials, k.n);
	p[2] = db_text_array(a, k.cert_ids, k.n);
	p[3] = db_text_array(a, k.responses, k.n);
	p[4] = db_text_array(a, k.statuses, k.n);
	p[5] = db_text_array(a, k.reasons, k.n);
	p[6] = db_text_array(a, k.revoked, k.n);
	p[7] = op_printf(op, "%" PRId64, w->this_unix);
	p[8] = op_printf(op, "%" PRId64, w->next_unix);
	*out_n = k.n;
	return (struct db_stmt){Q_OCSP_KEEP, KEEP_PARAMS, p};
}

static rc
pack_answers(struct op *op, const struct ocsp_batch *w, struct span *out)
{
	struct ocsp_answer *answers =
	    arena_alloc(op_arena(op), (w->nrequests + 1) * sizeof(*answers));

	for (size_t i = 0; i < w->nrequests; i++) {
		const struct ocsp_asked *q = &w->requests[i];

		answers[i] = (struct ocsp_answer){
		    .outcome = q->outcome,
		    .der = q->der,
		    /* For so long an apiserver gives it again. */
		    .left_s = q->is_kept ? w->next_unix - w->this_unix : 0,
		};
		if (q->der.len > 0)
			answers[i].end = ocsp_signer_end(
			    w->items[q->first].key->responder->signer);
	}
	return ocsp_answers_write(op_arena(op), answers, w->nrequests, out);
}

static enum op_next
store_batch(struct op *op, struct ocsp_batch *w, const struct db_stmt *keep,
    size_t nkept)
{
	struct task *t = op_owner(op);
	struct span answers;
	rc ret;

	ret = pack_answers(op, w, &answers);
	if (ret != RC_OK)
		return op_fail(op, ret, "the answers do not go together");

	const char *const params[] = {lease_incarnation(t->env->lease),
	    t->lease_text, t->id, bytea(op_arena(op), answers)};
	const struct db_stmt stmts[] = {
	    {Q_OCSP_STORE, ARRAY_LEN(params), params},
	    *keep,
	};
	return op_batch(op, work_stored, nkept > 0 ? 2 : 1, stmts);
}

static enum op_next
work_sign(struct op *op)
{
	struct task *t = op_owner(op);
	struct ocsp_batch *w = work_of(op);
	int64_t until_ms = clock_boot_ms() + KIND_SLICE_MS;
	struct db_stmt keep;
	size_t nkept;

	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	while (w->at < w->nrequests && clock_boot_ms() < until_ms)
		ocsp_batch_sign(op, w, &w->requests[w->at++]);
	if (w->at < w->nrequests)
		return op_goto(op, work_sign);
	keep = keep_statement(op, w, &nkept);
	if (!w->is_refresh)
		return store_batch(op, w, &keep, nkept);
	if (nkept == 0)
		return op_goto(op, refresh_kept);
	return op_batch(op, refresh_kept, 1, &keep);
}

static enum op_next
refresh_kept(struct op *op)
{
	struct ocsp_batch *w = work_of(op);

	give_back(w);
	w->nkeys = 0;
	op_rewind(op);
	return op_goto(op, refresh_round);
}

static enum op_next
work_stored(struct op *op)
{
	const struct db_result *stored = op_result(op, 0);
	struct task *t = op_owner(op);
	struct buf body;
	struct json_w w;

	if (!db_bool(stored, 0, db_col(stored, "is_ours")))
		return op_fail(op, RC_LEASE_LOST, "the task is not ours");
	buf_init(&body, FRAME_BODY_MAX);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	json_w_key(&w, "ocsp");
	json_w_open(&w, '[');
	json_w_str(&w, t->id);
	json_w_close(&w, ']');
	json_w_close(&w, '}');
	bus_client_hint(t->env->bus, body.data, body.len);
	buf_fini(&body);
	return op_done(op);
}
