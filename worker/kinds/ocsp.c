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
#include "common/pki/cert/cert.h"
#include "common/pki/cert/crl.h"
#include "common/pki/ocsp/ocsp_request.h"
#include "common/pki/ocsp/ocsp_response.h"
#include "common/policy/policy.h"
#include "worker/kinds/kind.h"

#define LOCAL_TYPE "GenericCA"
#define POLL_MS 2
#define CHUNK "500" /* answers made anew in a round */
/* A round ends well before the op does. */
#define ROUND_MS 15000

/* A key of a CA that may answer. */
struct key {
	struct responder_ca ca;
	struct ocsp_ca id;
	bool is_wanted;
	rc code;                     /* why it answers nothing */
	struct responder *responder; /* referenced until the round ends */
};

/* One certificate of one request. */
struct item {
	const char *issuer_id, *issuer_type; /* type NULL: no such issuer */
	const char *serial, *cert_id;        /* cert_id: "" by the serial */
	const char *list;                    /* NULL: unknown */
	const char *status, *reason;
	int64_t revoked_at_unix;
	int number; /* of its request */
	struct key *key;
	struct span cert_id_der;
	const char *refusal; /* instead of an answer; NULL: none */
};

struct request {
	size_t first, n; /* its items */
	struct span nonce;
	const char *outcome;
	const char *response; /* '\x...'; NULL */
	bool is_kept;
};

struct work {
	bool is_refresh;
	struct item *items;
	struct request *requests;
	struct key *keys;
	size_t nitems, nrequests, nkeys, at;
	int64_t this_unix, next_unix;
	size_t signed_in_all;
};

static op_step work_loaded;
static op_step work_keys_known;
static op_step work_open;
static op_step work_sign;
static op_step work_stored;
static op_step refresh_round;
static op_step refresh_kept;

static struct work *
work_of(struct op *op)
{
	return op_state(op, sizeof(struct work));
}

static void
give_back(void *arg)
{
	struct work *w = arg;

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
read_item(const struct db_result *r, size_t row, struct item *out)
{
	*out = (struct item){
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

static struct span
unhex(struct arena *a, const char *hex)
{
	size_t len = strlen(hex) / 2;
	uint8_t *bytes = arena_alloc(a, len + 1);

	if (enc_unhex(hex, bytes, len) != RC_OK)
		len = 0;
	return (struct span){bytes, len};
}

/* Items of a request stand one behind the other. */
static void
read_items(struct op *op, struct work *w)
{
	const struct db_result *r = op_result(op, 0);
	struct arena *a = op_arena(op);
	struct request *q = NULL;

	w->items = arena_alloc(a, (w->nitems + 1) * sizeof(*w->items));
	w->requests = arena_alloc(a, (w->nitems + 1) * sizeof(*w->requests));
	w->nrequests = 0;
	for (size_t i = 0; i < w->nitems; i++) {
		read_item(r, i, &w->items[i]);
		if (!q || w->items[i].number != w->items[i - 1].number) {
			q = &w->requests[w->nrequests++];
			*q = (struct request){
			    .first = i,
			    .nonce =
				unhex(a, db_text(r, i, db_col(r, "nonce"))),
			};
		}
		q->n++;
	}
}

/* Of those that are there. */
static const char *
name_issuers(struct op *op, const struct work *w)
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
	struct work *w = work_of(op);

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

static rc
read_key(const struct db_result *r, size_t row, struct key *out)
{
	const char *pem = db_text(r, row, db_col(r, "cert_pem"));
	bool is_former =
	    strcmp(db_text(r, row, db_col(r, "state")), "former") == 0;
	X509 *x;
	rc ret;

	*out = (struct key){
	    .ca =
		{
		    .issuer_id = db_text(r, row, db_col(r, "issuer_id")),
		    .list = db_text(r, row, db_col(r, "list")),
		    .former_key =
			is_former ? db_text(r, row, db_col(r, "key_id")) : NULL,
		    .responder = db_text(r, row, db_col(r, "responder")),
		},
	};
	ret = cert_from_pem(pem, strlen(pem), &x);
	if (ret != RC_OK)
		return ret;
	ret = ocsp_ca_read(x, &out->id);
	X509_free(x);
	return ret;
}

/* By what the client calls it. */
static struct key *
find_named(struct work *w, const struct item *it, const struct ocsp_id *id)
{
	for (size_t i = 0; i < w->nkeys; i++) {
		if (strcmp(w->keys[i].ca.issuer_id, it->issuer_id) == 0 &&
		    ocsp_ca_is(&w->keys[i].id, id))
			return &w->keys[i];
	}
	return NULL;
}

/* By what signed the certificate; else the one that signs now. */
static struct key *
find_signing(struct work *w, const struct item *it)
{
	struct key *found = NULL;

	for (size_t i = 0; i < w->nkeys; i++) {
		struct key *k = &w->keys[i];

		if (strcmp(k->ca.issuer_id, it->issuer_id) != 0)
			continue;
		if (it->list && strcmp(k->ca.list, it->list) == 0)
			return k;
		if (!k->ca.former_key)
			found = k;
	}
	return found;
}

static void
find_key(struct op *op, struct work *w, struct item *it)
{
	struct arena *a = op_arena(op);
	struct ocsp_id id;

	if (!it->issuer_type) {
		it->refusal = "no_issuer";
		return;
	}
	if (strcmp(it->issuer_type, LOCAL_TYPE) != 0) {
		it->refusal = "outside";
		return;
	}
	if (it->cert_id[0]) {
		it->cert_id_der = unhex(a, it->cert_id);
		if (ocsp_id_parse(it->cert_id_der, &id) == RC_OK)
			it->key = find_named(w, it, &id);
		if (!it->key)
			it->refusal = "unauthorized";
	} else {
		it->key = find_signing(w, it);
		if (!it->key || ocsp_ca_cert_id(a, &it->key->id, it->serial,
				    &it->cert_id_der) != RC_OK)
			it->refusal = "failed";
	}
}

/* An answer is signed by one key: what it cannot speak for, it refuses. */
static void
judge_request(struct work *w, struct request *q)
{
	const struct item *first = &w->items[q->first];

	for (size_t i = q->first; i < q->first + q->n; i++) {
		if (w->items[i].refusal)
			q->outcome = w->items[i].refusal;
		else if (w->items[i].key != first->key)
			q->outcome = "unauthorized";
		if (q->outcome)
			return;
	}
	first->key->is_wanted = true;
}

static enum op_next
work_keys_known(struct op *op)
{
	struct work *w = work_of(op);
	const struct db_result *r = op_result(op, 0);
	size_t n = db_nrows(r);

	w->keys = arena_alloc(op_arena(op), (n + 1) * sizeof(*w->keys));
	w->nkeys = 0;
	for (size_t i = 0; i < n; i++) {
		if (read_key(r, i, &w->keys[w->nkeys]) == RC_OK)
			w->nkeys++;
	}
	for (size_t i = 0; i < w->nitems; i++)
		find_key(op, w, &w->items[i]);
	for (size_t i = 0; i < w->nrequests; i++)
		judge_request(w, &w->requests[i]);
	return op_goto(op, work_open);
}

static enum op_next
work_open(struct op *op)
{
	struct task *t = op_owner(op);
	struct work *w = work_of(op);
	const char *why;

	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	w->this_unix = clock_wall_us() / 1000000;
	w->next_unix = w->this_unix + POLICY_OCSP_LIFE;
	for (size_t i = 0; i < w->nkeys; i++) {
		struct key *k = &w->keys[i];

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

/* --- signing --- */

static struct ocsp_single
single_of(const struct item *it)
{
	struct ocsp_single s = {
	    .cert_id = it->cert_id_der,
	    .status = OCSP_UNKNOWN,
	};

	if (strcmp(it->status, "good") == 0)
		s.status = OCSP_GOOD;
	if (strcmp(it->status, "revoked") == 0) {
		s.status = OCSP_REVOKED;
		s.revoked_at_unix = it->revoked_at_unix;
		s.reason = crl_reason(it->reason);
	}
	return s;
}

static const char *
bytea(struct arena *a, struct span der)
{
	char *hex = arena_alloc(a, 2 * der.len + 3);

	memcpy(hex, "\\x", 2);
	enc_hex(der.p, der.len, hex + 2);
	return hex;
}

static void
sign_request(struct op *op, struct work *w, struct request *q)
{
	const struct item *first = &w->items[q->first];
	struct arena *a = op_arena(op);
	struct ocsp_single *singles = arena_alloc(a, q->n * sizeof(*singles));
	struct ocsp_spec spec = {
	    .singles = singles,
	    .n = q->n,
	    .this_update_unix = w->this_unix,
	    .next_update_unix = w->next_unix,
	    .nonce = q->nonce,
	};
	bool is_known = true;
	struct span der;
	rc ret;

	if (q->outcome)
		return;
	q->outcome = "failed";
	if (!first->key->responder)
		return;
	for (size_t i = 0; i < q->n; i++) {
		singles[i] = single_of(&first[i]);
		is_known = is_known && singles[i].status != OCSP_UNKNOWN;
	}
	/* It may be issued at any time. */
	if (!is_known &&
	    spec.next_update_unix > w->this_unix + POLICY_OCSP_UNKNOWN)
		spec.next_update_unix = w->this_unix + POLICY_OCSP_UNKNOWN;
	ret = ocsp_sign(first->key->responder->signer, a, &spec, &der);
	if (ret != RC_OK)
		return;
	q->response = bytea(a, der);
	q->outcome = first->status;
	q->is_kept = q->n == 1 && q->nonce.len == 0 && is_known;
	w->signed_in_all++;
}

/* --- storing --- */

/* The columns of ocsp_keep. */
struct kept {
	const char **issuers, **serials, **cert_ids, **responses, **statuses,
	    **reasons, **revoked;
	size_t n;
};

static void
keep_rows(struct op *op, struct work *w, struct kept *k)
{
	const char ***columns[] = {&k->issuers, &k->serials, &k->cert_ids,
	    &k->responses, &k->statuses, &k->reasons, &k->revoked};

	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		*columns[i] = arena_alloc(op_arena(op),
		    (w->nrequests + 1) * sizeof(char *));
	k->n = 0;
	for (size_t i = 0; i < w->nrequests; i++) {
		const struct request *q = &w->requests[i];
		const struct item *it = &w->items[q->first];
		bool is_revoked = strcmp(it->status, "revoked") == 0;

		if (!q->is_kept)
			continue;
		k->issuers[k->n] = it->issuer_id;
		k->serials[k->n] = it->serial;
		k->cert_ids[k->n] = it->cert_id;
		k->responses[k->n] = q->response;
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
keep_statement(struct op *op, struct work *w, size_t *out_n)
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

/* How long an apiserver may give it without asking for another. */
static const char *
left_of(struct op *op, const struct work *w, const struct request *q)
{
	return op_printf(op, "%" PRId64,
	    q->is_kept ? w->next_unix - w->this_unix : (int64_t)0);
}

static enum op_next
store_batch(struct op *op, struct work *w, const struct db_stmt *keep,
    size_t nkept)
{
	struct task *t = op_owner(op);
	struct arena *a = op_arena(op);
	size_t n = w->nrequests;
	const char **outcomes = arena_alloc(a, (n + 1) * sizeof(char *)),
		   **responses = arena_alloc(a, (n + 1) * sizeof(char *)),
		   **lefts = arena_alloc(a, (n + 1) * sizeof(char *));

	for (size_t i = 0; i < n; i++) {
		outcomes[i] = w->requests[i].outcome;
		responses[i] = w->requests[i].response;
		lefts[i] = left_of(op, w, &w->requests[i]);
	}

	const char *const params[] = {lease_incarnation(t->env->lease),
	    t->lease_text, t->id, db_text_array(a, outcomes, n),
	    db_text_array(a, responses, n), db_text_array(a, lefts, n)};
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
	struct work *w = work_of(op);
	int64_t until_ms = clock_boot_ms() + KIND_SLICE_MS;
	struct db_stmt keep;
	size_t nkept;

	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	while (w->at < w->nrequests && clock_boot_ms() < until_ms)
		sign_request(op, w, &w->requests[w->at++]);
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
	struct work *w = work_of(op);

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
